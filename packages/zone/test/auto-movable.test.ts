// The online policy auto-movable: the ratio of movable to boot-time kernel memory, and memory of devices.
import { GiB, MiB, nodeId } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  autoMovable,
  autoMovableRatio,
  type MemoryGroups,
  OnlinePolicies,
  onlinePolicyPlacement,
  type Placement,
} from "../src/index.ts";
import { hotplugMachine, type HotplugMachine } from "@hetmem/test-machines/hotplug-machine";

const BLOCK = 128 * MiB;

function ratio(percent: number): (groups: MemoryGroups) => Placement {
  const policies = new OnlinePolicies([autoMovable]);
  policies.parameters.set(autoMovableRatio, percent);
  return (groups) => onlinePolicyPlacement(policies, groups);
}

describe("auto-movable placement, as of e83a437faa62", () => {
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

  /** Kernel memory for three blocks of Movable, and a device that plugs two blocks at a time: 32 to 35. */
  function machineWithUnits(): HotplugMachine {
    const machine = hotplugMachine({ memory: [[0, 3 * BLOCK]], placement: ratio(100) });
    const group = machine.hotplug.groups.register(nodeId(0), {
      type: "dynamic",
      unitPages: (2 * BLOCK) / 4096,
    });
    machine.add(4 * GiB, { size: 4 * BLOCK, group });
    return machine;
  }

  test("a unit of a device goes to Movable whole or not at all", () => {
    expect(onlinedZones(machineWithUnits(), [32, 33, 34, 35])).toEqual([
      "Movable",
      "Movable",
      "Normal",
      "Normal",
    ]);
  });

  test("a unit that is in a kernel zone in part goes there whole, while there is room for it in Movable", () => {
    const machine = machineWithUnits();
    machine.online(33, "online_kernel");
    expect(onlinedZones(machine, [32, 34, 35])).toEqual(["Normal", "Movable", "Movable"]);
  });

  test("a unit that is Movable in part needs room for its rest alone", () => {
    const machine = machineWithUnits();
    machine.online(32, "online_movable");
    machine.online(34, "online_movable");
    expect(onlinedZones(machine, [35])).toEqual(["Movable"]);
  });

  test("a ratio of 0 keeps everything in kernel zones", () => {
    const machine = hotplugMachine({ memory: [[0, GiB]], placement: ratio(0) });
    machine.add(4 * GiB);
    machine.online(32, "online");
    expect(machine.hotplug.block(32).zone?.name).toBe("Normal");
  });
});
