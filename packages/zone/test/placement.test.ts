// The placement policies strict and any-order, asked directly and through valid_zones.
import { GiB, MiB, nodeId, type Pfn, run } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { anyOrderPlacement, strictPlacement, validZones } from "../src/index.ts";
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

test("a policy answers for ranges that don't exist yet", () => {
  const machine = machineWithFiveBlocks();
  const request = { node: nodeId(0), start: 0x400000 as Pfn, pages: 32_768, group: undefined };
  expect(strictPlacement.zoneFor(machine.memory, "online_movable", request)?.name).toBe("Movable");
  expect(run(machine.hotplug.locks.getOnlineMems())).toBeUndefined();
});
