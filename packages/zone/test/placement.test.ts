// The three placement policies, asked directly and through valid_zones.
import { GiB, MiB, nodeId, type Pfn, run } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  anyOrderPlacement,
  type MemoryGroups,
  onlinePolicyPlacement,
  strictPlacement,
  validZones,
} from "../src/index.ts";
import { hotplugMachine, type HotplugMachine } from "@hetmem/test-machines/hotplug-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const BLOCK = 128 * MiB;

/** A machine whose RAM ends at 4 GiB, with five more blocks added: 32 to 36. */
function machineWithFiveBlocks(placement = anyOrderPlacement): HotplugMachine {
  const machine = hotplugMachine({ memory: [[0, 3 * GiB]], placement: () => placement });
  for (let i = 0; i < 5; i++) machine.add(4 * GiB + i * BLOCK);
  return machine;
}

function zonesOf(machine: HotplugMachine): string[] {
  return [32, 33, 34, 35, 36].map((id) =>
    validZones(machine.hotplug, machine.hotplug.block(id))
      .map((zone) => zone.name)
      .join(" "),
  );
}

describe("strict placement: Normal before Movable, as of the 2017 rewrite", () => {
  test("every block of an empty machine may become Normal or Movable, Normal first", () => {
    expect(zonesOf(machineWithFiveBlocks(strictPlacement))).toEqual(
      Array.from({ length: 5 }, () => "Normal Movable"),
    );
  });

  test("behind a movable block there is no Normal", () => {
    const machine = machineWithFiveBlocks(strictPlacement);
    machine.online(34, "online_movable");
    expect(zonesOf(machine)).toEqual(["Normal Movable", "Normal Movable", "Movable", "Movable", "Movable"]);
  });

  test("before a kernel block there is no Movable", () => {
    const machine = machineWithFiveBlocks(strictPlacement);
    machine.online(34, "online_kernel");
    expect(zonesOf(machine)).toEqual(["Normal", "Normal", "Normal", "Normal Movable", "Normal Movable"]);
  });

  test("between Normal and Movable a block may become either, and plain online means Normal", () => {
    const machine = machineWithFiveBlocks(strictPlacement);
    machine.online(32, "online_kernel");
    machine.online(36, "online_movable");
    expect(zonesOf(machine)[2]).toBe("Normal Movable");
    machine.online(34, "online");
    expect(machine.hotplug.block(34).zone?.name).toBe("Normal");
  });

  test("plain online behind a movable block means Movable", () => {
    const machine = machineWithFiveBlocks(strictPlacement);
    machine.online(33, "online_movable");
    machine.online(35, "online");
    expect(machine.hotplug.block(35).zone?.name).toBe("Movable");
  });

  test("a request that would put Normal behind Movable is EINVAL and changes nothing", () => {
    const machine = machineWithFiveBlocks(strictPlacement);
    machine.online(33, "online_movable");
    const before = machine.spans();
    expect(outcome(() => machine.online(35, "online_kernel"))).toBe("EINVAL");
    expect(machine.hotplug.block(35).state).toBe("offline");
    expect(machine.spans()).toEqual(before);
  });
});

describe("any-order placement, as of c6f03e2903c9", () => {
  test("a movable block leaves its neighbours free to become Normal", () => {
    const machine = machineWithFiveBlocks();
    machine.online(34, "online_movable");
    machine.online(36, "online_kernel");
    machine.online(32, "online_kernel");
    expect(machine.spans()).toMatchObject({ Normal: [0x100000, 5 * 32_768], Movable: [0x110000, 32_768] });
  });

  test("plain online stays in the one zone that spans the block already", () => {
    const machine = machineWithFiveBlocks();
    machine.online(32, "online_movable");
    machine.online(36, "online_movable");
    expect(zonesOf(machine)).toEqual([
      "Movable",
      "Movable Normal",
      "Movable Normal",
      "Movable Normal",
      "Movable",
    ]);
    machine.online(34, "online");
    expect(machine.hotplug.block(34).zone?.name).toBe("Movable");
  });

  test("plain online means Normal where both zones span the block", () => {
    const machine = machineWithFiveBlocks();
    machine.online(32, "online_kernel");
    machine.online(33, "online_movable");
    machine.online(35, "online_kernel");
    machine.online(36, "online_movable");
    expect(zonesOf(machine)[2]).toBe("Normal Movable");
  });

  test("with movable_node, plain online means Movable where no zone spans the block", () => {
    const machine = hotplugMachine({
      memory: [[0, 3 * GiB]],
      placement: () => anyOrderPlacement,
      movableNode: true,
    });
    machine.add(4 * GiB);
    expect(validZones(machine.hotplug, machine.hotplug.block(32)).map((zone) => zone.name)).toEqual([
      "Movable",
      "Normal",
    ]);
  });

  test("a block that DMA32 spans goes to DMA32, not to Normal", () => {
    const machine = hotplugMachine({
      memory: [
        [0, GiB],
        [2 * GiB, 3 * GiB],
      ],
      placement: () => anyOrderPlacement,
    });
    machine.add(GiB + BLOCK);
    expect(validZones(machine.hotplug, machine.hotplug.block(9)).map((zone) => zone.name)).toEqual([
      "DMA32",
      "Movable",
    ]);
  });
});

describe("auto-movable placement, as of e83a437faa62", () => {
  const ratio =
    (percent: number, numaAware = true) =>
    (groups: MemoryGroups) =>
      onlinePolicyPlacement(
        { online_policy: "auto-movable", auto_movable_ratio: percent, auto_movable_numa_aware: numaAware },
        groups,
      );

  test("plain online means Movable until the ratio is reached, then a kernel zone", () => {
    const machine = hotplugMachine({ memory: [[0, 256 * MiB]], placement: ratio(100) });
    for (let i = 0; i < 3; i++) machine.add(4 * GiB + i * BLOCK);
    for (let id = 32; id < 35; id++) machine.online(id, "online");
    expect([32, 33, 34].map((id) => machine.hotplug.block(id).zone?.name)).toEqual([
      "Movable",
      "Movable",
      "Normal",
    ]);
  });

  test("memory that was hotplugged into a kernel zone does not allow for more Movable", () => {
    const machine = hotplugMachine({ memory: [[0, 256 * MiB]], placement: ratio(100) });
    for (let i = 0; i < 4; i++) machine.add(4 * GiB + i * BLOCK);
    machine.online(32, "online_kernel");
    for (const id of [33, 34, 35]) machine.online(id, "online");
    expect([33, 34, 35].map((id) => machine.hotplug.block(id).zone?.name)).toEqual([
      "Movable",
      "Movable",
      "Normal",
    ]);
  });

  test("a DIMM goes to Movable whole or not at all", () => {
    const machine = hotplugMachine({ memory: [[0, 384 * MiB]], placement: ratio(100) });
    const group = machine.hotplug.groups.register(nodeId(0), {
      type: "static",
      maxPages: (4 * BLOCK) / 4096,
    });
    machine.add(4 * GiB, { size: 4 * BLOCK, group });
    machine.online(32, "online");
    expect(machine.hotplug.block(32).zone?.name).toBe("Normal");
  });

  test("a DIMM that is Movable in part needs room for its rest alone", () => {
    const machine = hotplugMachine({ memory: [[0, 4 * BLOCK]], placement: ratio(100) });
    const group = machine.hotplug.groups.register(nodeId(0), {
      type: "static",
      maxPages: (4 * BLOCK) / 4096,
    });
    machine.add(4 * GiB, { size: 4 * BLOCK, group });
    expect(onlinedZones(machine, [32, 33, 34, 35])).toEqual(["Movable", "Movable", "Movable", "Movable"]);
  });

  /** A machine with kernel memory for two and a half blocks of Movable from boot, and seven more blocks: 32 to 38. */
  function machineWithGroup(blocksOfGroup: number): HotplugMachine {
    const machine = hotplugMachine({ memory: [[0, 2.5 * BLOCK]], placement: ratio(100) });
    const group = machine.hotplug.groups.register(nodeId(0), { type: "dynamic", unitPages: BLOCK / 4096 });
    for (let i = 0; i < 7; i++) machine.add(4 * GiB + i * BLOCK, i < blocksOfGroup ? { group } : {});
    return machine;
  }

  function onlinedZones(machine: HotplugMachine, ids: readonly number[]): (string | undefined)[] {
    return ids.map((id) => {
      machine.online(id, "online");
      return machine.hotplug.block(id).zone?.name;
    });
  }

  test("kernel memory of a device that grows allows for more Movable of the same device", () => {
    const machine = machineWithGroup(7);
    machine.online(32, "online_kernel");
    expect(onlinedZones(machine, [33, 34, 35, 36])).toEqual(["Movable", "Movable", "Movable", "Normal"]);
  });

  test("but not for more Movable of anybody else", () => {
    const machine = machineWithGroup(2);
    machine.online(32, "online_kernel");
    machine.online(33, "online_kernel");
    expect(onlinedZones(machine, [34, 35, 36])).toEqual(["Movable", "Movable", "Normal"]);
  });

  test("Movable of a device counts against others only as far as its own kernel memory does not allow for it", () => {
    const machine = machineWithGroup(3);
    machine.online(32, "online_kernel");
    machine.online(33, "online_movable");
    machine.online(34, "online_movable");
    expect(onlinedZones(machine, [35, 36])).toEqual(["Movable", "Normal"]);
  });

  test("a ratio of 0 keeps everything in kernel zones", () => {
    const machine = hotplugMachine({ memory: [[0, GiB]], placement: ratio(0) });
    machine.add(4 * GiB);
    machine.online(32, "online");
    expect(machine.hotplug.block(32).zone?.name).toBe("Normal");
  });
});

test("a policy answers for ranges that don't exist yet", () => {
  const machine = machineWithFiveBlocks();
  const request = { node: nodeId(0), start: 0x400000 as Pfn, pages: 32_768, group: undefined };
  expect(strictPlacement.zoneFor(machine.memory, "online_movable", request)?.name).toBe("Movable");
  expect(run(machine.hotplug.locks.getOnlineMems())).toBeUndefined();
});
