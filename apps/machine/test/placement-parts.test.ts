// A placement or an online policy of one's own in a machine: each way to online memory asks it, and valid_zones shows its answers.
import { KernelBug, run } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import {
  anyOrderPlacement,
  contigZones,
  defaultFirst,
  defaultKernelZone,
  type OnlinePolicy,
  type Placement,
  zoneOfNode,
  ZoneType,
} from "@hetmem/zone";
import { expect, test } from "vitest";
import { createMachine, type Machine } from "../src/machine.ts";
import type { MachineParts } from "../src/parts/machine-parts.ts";
import { PROFILES } from "../src/parts/profiles.ts";
import { planSystemRam } from "../src/plan/plan.ts";
import { PROGRAMS } from "../src/programs/index.ts";

const SPEC = machineOfYaml(
  `
nodes:
  - { memory: 1G, cpus: 0 }
  - { }
hidden: [{ start: 4G, size: 1G }]
devices: [{ name: Soft Reserved, start: 8G, size: 1G, node: 1 }]
`,
  "placement.yaml",
  "v6.1",
);
const MEMORY = "/sys/devices/system/memory";
const POLICY = "/sys/module/memory_hotplug/parameters/online_policy";

interface TestMachine {
  readonly machine: Machine;
  sh(line: string): string;
  /** Names of the zones in a block's valid_zones. */
  zones(block: number): string;
}

function machineWith(parts: Partial<MachineParts>, spec = SPEC): TestMachine {
  const machine = createMachine(spec, parts);
  const shell = new Shell(machine, PROGRAMS);
  const sh = (line: string): string => run(shell.execute(line)).output;
  return { machine, sh, zones: (block) => sh(`cat ${MEMORY}/memory${block}/valid_zones`).trimEnd() };
}

/** Even blocks are Movable, odd ones the kernel's, whatever is asked for. */
const byParity: Placement = {
  name: "by-parity",
  zoneFor(memory, type, request) {
    const isMovable = (request.start / request.pages) % 2 === 0;
    if (type === (isMovable ? "online_kernel" : "online_movable")) return undefined;
    return isMovable
      ? zoneOfNode(memory, request.node, ZoneType.Movable)
      : defaultKernelZone(memory, request);
  },
  validZones: (memory, request) => defaultFirst(byParity, memory, request),
};

const placed: Partial<MachineParts> = { placement: () => byParity };

test("a block that is probed has the policy's zones, and a write to its state goes by them", () => {
  const { sh, zones } = machineWith(placed);
  sh(`echo 0x100000000 > ${MEMORY}/probe; echo 0x108000000 > ${MEMORY}/probe`);
  expect([zones(32), zones(33)]).toEqual(["Movable", "Normal"]);
  expect(sh(`echo online_kernel > ${MEMORY}/memory32/state`)).toContain("Invalid argument");
  sh(`echo online > ${MEMORY}/memory32/state; echo 1 > ${MEMORY}/memory33/online`);
  expect(sh(`cat ${MEMORY}/memory32/state ${MEMORY}/memory33/state`)).toBe("online\nonline\n");
  expect([zones(32), zones(33)]).toEqual(["Movable", "Normal"]);
});

test("blocks that go online by themselves go by the policy, and the first that is refused ends the series", () => {
  const { sh, zones } = machineWith(placed);
  sh(
    `echo online > ${MEMORY}/auto_online_blocks; daxctl reconfigure-device --mode=system-ram --force dax0.0`,
  );
  expect([64, 65, 70, 71].map(zones)).toEqual(["Movable", "Normal", "Movable", "Normal"]);
  const other = machineWith(placed);
  other.sh(`echo online_movable > ${MEMORY}/auto_online_blocks`);
  other.sh("daxctl reconfigure-device --mode=system-ram --force dax0.0");
  expect(other.sh(`cat ${MEMORY}/memory6[456]/state`)).toBe("online\noffline\noffline\n");
});

test("blocks of a device that becomes RAM go by the policy", () => {
  const { sh, zones } = machineWith(placed);
  sh("daxctl reconfigure-device --mode=system-ram --no-online dax0.0");
  expect([64, 65].map(zones)).toEqual(["Movable", "Normal"]);
});

test("a plan is made with the policy", () => {
  const toMovable: Placement = {
    ...byParity,
    zoneFor: (memory, type, request) =>
      anyOrderPlacement.zoneFor(memory, type === "online_kernel" ? "online" : type, request),
  };
  const refusing: Placement = {
    ...toMovable,
    zoneFor: (memory, type, request) =>
      type === "online_movable" ? undefined : toMovable.zoneFor(memory, type, request),
  };
  const planned = (placement: Placement): string[] =>
    planSystemRam(machineWith({ placement: () => placement }).machine, { device: "dax0.0", zone: "movable" })
      .zones.filter(({ node }) => node === 1)
      .map(({ zone }) => zone);
  expect(planned(toMovable)).toEqual(["Movable"]);
  expect(() => planned(refusing)).toThrow('the placement policy "by-parity" forbids it');
});

test("a machine is made again with its policy by a reboot", () => {
  const { machine, sh, zones } = machineWith(placed);
  machine.reboot();
  sh(`echo 0x100000000 > ${MEMORY}/probe`);
  expect(zones(32)).toBe("Movable");
});

test("an answer that a block can't go by is a KernelBug with the policy's name, and the block goes online by another request", () => {
  const confused: Placement = {
    ...anyOrderPlacement,
    name: "confused",
    zoneFor: (memory, type, request) =>
      type === "online"
        ? zoneOfNode(memory, SPEC.nodes[1]?.id ?? request.node, ZoneType.Normal)
        : anyOrderPlacement.zoneFor(memory, type, request),
    validZones: (memory, request) => anyOrderPlacement.validZones(memory, request),
  };
  const { sh, zones } = machineWith({ placement: () => confused });
  sh(`echo 0x100000000 > ${MEMORY}/probe`);
  const plain = (): string => sh(`echo online > ${MEMORY}/memory32/state`);
  expect(plain).toThrow(KernelBug);
  expect(plain).toThrow(
    'the placement policy "confused" answers online of frames 0x100000-0x107fff with Normal of node 1',
  );
  expect(sh(`cat ${MEMORY}/memory32/state`)).toBe("offline\n");
  sh(`echo online_movable > ${MEMORY}/memory32/state`);
  expect(zones(32)).toBe("Movable");
});

const mine: OnlinePolicy = {
  name: "mine",
  zoneFor: ({ memory }, { node }) => zoneOfNode(memory, node, ZoneType.Movable),
};

test("an online policy of one's own is chosen by a write of its name", () => {
  const { sh, zones } = machineWith({ onlinePolicies: [...PROFILES["v6.1"].onlinePolicies, mine] });
  sh(`echo 0x100000000 > ${MEMORY}/probe`);
  expect(sh(`cat ${POLICY}`) + zones(32)).toBe("contig-zones\nNormal Movable");
  expect(sh(`echo mine > ${POLICY}; cat ${POLICY}`) + zones(32)).toBe("mine\nMovable Normal");
  expect(sh(`echo yours > ${POLICY}`)).toContain("Invalid argument");
});

test("an online policy of one's own is in force from boot on when it is the first", () => {
  const { sh, zones } = machineWith({ onlinePolicies: [mine, contigZones] });
  sh(`echo 0x100000000 > ${MEMORY}/probe`);
  expect(sh(`cat ${POLICY}`) + zones(32)).toBe("mine\nMovable Normal");
  expect(sh(`ls /sys/module/memory_hotplug/parameters`)).toBe("memmap_on_memory\nonline_policy\n");
});

test("the boot option auto-movable needs a machine that has the policy", () => {
  const spec = {
    ...SPEC,
    options: { ...SPEC.options, placement: "auto-movable" as const, auto_movable_ratio: 0 },
  };
  const { sh, zones } = machineWith({}, spec);
  sh(`echo 0x100000000 > ${MEMORY}/probe`);
  expect(sh(`cat ${POLICY} ${POLICY.replace("online_policy", "auto_movable_ratio")}`)).toBe(
    "auto-movable\n0\n",
  );
  expect(zones(32)).toBe("Normal Movable");
  expect(() => createMachine(spec, { onlinePolicies: [mine] })).toThrow(
    'EINVAL: "auto-movable" is not a policy: write mine',
  );
});
