// The state of a machine right after boot.
import { assertInvariants, GiB, nodeId, PAGE_SIZE, type Pfn, physAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { allZones, memoryInvariants, ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { type DeviceSpan, machineOfYaml } from "@hetmem/machine-spec";

test("the kernel's image is reserved where the firmware map shows it, and what lies between its parts is not", () => {
  const { memory, spec } = createMachine(machineOfYaml("nodes:\n  - { memory: 1G, cpus: 0 }\n", "m.yaml"));
  const reserved = (address: number): boolean => {
    const frame = Math.floor(address / PAGE_SIZE) as Pfn;
    for (const zone of allZones(memory)) zone.deferred.touch(zone, frame);
    return memory.memmap.test(memory.memmap.pfnToPage(frame), PageFlag.reserved);
  };
  const image = spec.iomem.flatMap(({ children }) => children);
  expect(image.map(({ name }) => name)).toEqual([
    "Kernel code",
    "Kernel rodata",
    "Kernel data",
    "Kernel bss",
  ]);
  expect(image.map(({ start }) => reserved(start))).toEqual([true, true, true, true]);
  expect(image.map(({ end }) => reserved(end))).toEqual([true, true, true, true]);
  expect(image.map(({ end }) => reserved(end + 1))).toEqual([false, false, false, false]);
});

test("device memory that a captured host had lies in ZONE_DEVICE of its node, and so in the node", () => {
  const spec = machineOfYaml("nodes:\n  - { memory: 1G, cpus: 0 }\n  - {}\n", "m.yaml");
  const span = (node: number, start: number, size: number): DeviceSpan => ({
    node: nodeId(node),
    start: physAddr(start),
    end: physAddr(start + size),
  });
  const { memory } = createMachine({
    ...spec,
    deviceSpans: [span(0, 8 * GiB, GiB), span(0, 10 * GiB, GiB), span(1, 4 * GiB, GiB)],
  });
  const devices = memory.nodes.map((node) => node?.zones[ZoneType.Device]);
  expect(devices.map((zone) => [zone?.startPfn, zone?.endPfn])).toEqual([
    [0x200000, 0x2c0000],
    [0x100000, 0x140000],
  ]);
  expect(memory.nodes.map((node) => [node?.startPfn, node?.endPfn])).toEqual([
    [1, 0x2c0000],
    [0x100000, 0x140000],
  ]);
  assertInvariants(memory, memoryInvariants);
});
