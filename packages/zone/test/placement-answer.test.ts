// Answers of a placement policy that a block can't go by: refused before anything is changed, and the policy is named.
import { GiB, KernelBug, KernelError, MiB, nodeId } from "@hetmem/kernel";
import { expect, test } from "vitest";
import {
  anyOrderPlacement,
  defaultFirst,
  type Memory,
  type OnlineType,
  type Placement,
  type PlacementRequest,
  validZones,
  type Zone,
  zoneOfNode,
  ZoneType,
} from "../src/index.ts";
import { hotplugMachine, type HotplugMachine } from "@hetmem/test-machines/hotplug-machine";
import { outcome } from "@hetmem/test-machines/outcome";

/** A machine that places memory32 of node 0 with a policy of one's own. */
function machineOf(zoneFor: Placement["zoneFor"]): HotplugMachine {
  const placement: Placement = {
    name: "mine",
    zoneFor,
    validZones: (memory, request) => defaultFirst(placement, memory, request),
  };
  const machine = hotplugMachine({ memory: [[0, 3 * GiB]], placement: () => placement });
  machine.add(4 * GiB);
  return machine;
}

function answering(type: ZoneType, node = 0): Placement["zoneFor"] {
  return (memory) => zoneOfNode(memory, nodeId(node), type);
}

const elsewhere = hotplugMachine();

test.each<readonly [string, OnlineType, Placement["zoneFor"], string]>([
  [
    "of another node",
    "online",
    answering(ZoneType.Normal, 1),
    "Normal of node 1, and the range is on node 0",
  ],
  [
    "of device memory",
    "online",
    answering(ZoneType.Device),
    "Device of node 0, which has device memory only",
  ],
  ["that ends below", "online", answering(ZoneType.DMA32), "DMA32 of node 0, which ends at frame 0x100000"],
  [
    "of another machine",
    "online",
    () => zoneOfNode(elsewhere.memory, nodeId(0), ZoneType.Normal),
    "a value that is no zone",
  ],
  [
    "that is movable, for online_kernel",
    "online_kernel",
    answering(ZoneType.Movable),
    "Movable, a zone of the other kind",
  ],
  [
    "of the kernel, for online_movable",
    "online_movable",
    answering(ZoneType.Normal),
    "Normal, a zone of the other kind",
  ],
])("a zone %s is a KernelBug that names the policy, and changes nothing", (_, type, zoneFor, fault) => {
  const machine = machineOf(zoneFor);
  const before = machine.fingerprint();
  const online = (): boolean => machine.online(32, type);
  expect(online).toThrow(KernelBug);
  expect(online).toThrow(
    `the placement policy "mine" answers ${type} of frames 0x100000-0x107fff with ${fault}`,
  );
  expect(machine.fingerprint()).toEqual(before);
});

test("a policy that throws is a KernelBug with its name and reason, and the block can go online later", () => {
  let broken = true;
  const machine = machineOf((memory, type, request) => {
    if (broken) throw new TypeError("undefined has no startPfn");
    return anyOrderPlacement.zoneFor(memory, type, request);
  });
  const before = machine.fingerprint();
  const online = (): boolean => machine.online(32, "online");
  expect(online).toThrow(KernelBug);
  expect(online).toThrow('zoneFor() of the placement policy "mine" failed: undefined has no startPfn');
  expect(machine.fingerprint()).toEqual(before);
  broken = false;
  expect(machine.online(32, "online")).toBe(true);
});

test("a policy refuses with an errno of its own", () => {
  const machine = machineOf(() => {
    throw new KernelError("EPERM", "this machine keeps its memory");
  });
  expect(outcome(() => machine.online(32, "online"))).toBe("EPERM");
  expect(machine.hotplug.block(32).state).toBe("offline");
});

test("a forbidden request is EINVAL that names the policy", () => {
  expect(() => machineOf(() => undefined).online(32, "online_kernel")).toThrow(
    'memory32 can\'t go online_kernel: the placement policy "mine" forbids it',
  );
});

test("valid_zones with a zone that the block can't be in is a KernelBug", () => {
  const machine = machineOf(answering(ZoneType.Normal, 1));
  expect(() => validZones(machine.hotplug, machine.hotplug.block(32))).toThrow(
    'the placement policy "mine" answers valid_zones of frames 0x100000-0x107fff with Normal of node 1',
  );
});

test("the policy is asked about the block's node, range and group", () => {
  const asked: PlacementRequest[] = [];
  const machine = machineOf((memory: Memory, type, request): Zone | undefined => {
    asked.push(request);
    return anyOrderPlacement.zoneFor(memory, type, request);
  });
  const group = machine.hotplug.groups.register(nodeId(1), { type: "dynamic", unitPages: 32_768 });
  machine.add(4 * GiB + 128 * MiB, { node: nodeId(1), group });
  machine.online(33, "online_movable");
  expect(asked).toEqual([{ node: 1, start: 0x108000, pages: 32_768, group }]);
});
