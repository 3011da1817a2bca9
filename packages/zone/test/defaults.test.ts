// What a caller needn't say of a machine's memory: without it, memory boots and is hotplugged as on an ordinary machine.
import { createKernel, GiB, MiB, nodeId, physAddr, run } from "@hetmem/kernel";
import { createIomem } from "@hetmem/resource";
import { outcome } from "@hetmem/test-machines/outcome";
import { expect, test } from "vitest";
import { bootMemory, MemoryHotplug, validZones } from "../src/index.ts";

function bootTwoNodes(): MemoryHotplug {
  const nodes = [0, 1].map((node) => ({
    id: nodeId(node),
    memory: [{ start: physAddr(node * GiB), end: physAddr((node + 1) * GiB) }],
    cpus: [node],
  }));
  const memory = bootMemory(createKernel(), { nodes, physicalBits: 40, maxPages: (3 * GiB) / 4096 });
  return new MemoryHotplug({ memory, iomem: createIomem(36) });
}

test("nodes without distances are 10 from themselves and 20 from others, and nothing but the first MiB is reserved", () => {
  const { memory } = bootTwoNodes();
  expect([memory.distance(nodeId(0), nodeId(0)), memory.distance(nodeId(0), nodeId(1))]).toEqual([10, 20]);
  expect(memory.memblock.reserved.map(({ base, end }) => [base, end])).toEqual([[0, MiB]]);
});

test("hotplug adds blocks of 128 MiB that stay offline, may go to any zone, and lie anywhere in the iomem tree", () => {
  const hotplug = bootTwoNodes();
  const last = physAddr(2 ** 36 - 128 * MiB);
  run(hotplug.locks.lockDeviceHotplug());
  run(hotplug.addMemory(nodeId(0), last, 128 * MiB));
  const block = hotplug.block(last / (128 * MiB));
  expect(block).toMatchObject({ state: "offline", pages: 32_768, vmemmapPages: 0 });
  expect(validZones(hotplug, block).map(({ name }) => name)).toEqual(["Normal", "Movable"]);
  expect(outcome(() => run(hotplug.addMemory(nodeId(0), physAddr(2 ** 36), 128 * MiB)))).toBe("E2BIG");
  hotplug.locks.unlockDeviceHotplug();
});
