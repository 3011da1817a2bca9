// Sections of boot memory get their place in the memmap when a page of them is first touched: looking at files touches none,
// and whoever gets a place that was another's finds it as a fresh one is.
import { createKernel, GiB, MiB, nodeId, physAddr, type Pfn, run } from "@hetmem/kernel";
import { createIomem, parseIomem } from "@hetmem/resource";
import { expect, test } from "vitest";
import { buddyinfoText, pagetypeinfoText } from "../src/buddyinfo.ts";
import {
  anyOrderPlacement,
  bootMemory,
  GFP_HIGHUSER_MOVABLE,
  type Memory,
  MemoryHotplug,
  MigrateType,
  offlineBlock,
  onlineBlock,
} from "../src/index.ts";

const NODE = nodeId(0);
const BLOCK = 128 * MiB;

function boot(bytes: number): Memory {
  return bootMemory(createKernel(), {
    nodes: [{ id: NODE, memory: [{ start: physAddr(0), end: physAddr(bytes) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: 46,
    maxPages: (bytes + GiB) / 4096,
    reserved: [],
  });
}

function touched({ memmap: { sections } }: Memory): number[] {
  return sections.present().filter((section) => !sections.isUntouched(section));
}

test("a machine boots, and its files are read, without a place for memory that isn't used", () => {
  const memory = boot(8 * GiB);
  expect(touched(memory)).toEqual([0]);
  buddyinfoText(memory);
  expect(pagetypeinfoText(memory)).toMatch(/Node 0, zone +Normal +0 +2048 +0 +0 +0 \n/);
  expect(touched(memory)).toEqual([0]);
  memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, NODE);
  expect(touched(memory)).toEqual([0, 32]);
});

test("a section that is touched in the place of a removed one has pageblocks as fresh ones are", () => {
  const memory = boot(8 * GiB);
  const hotplug = new MemoryHotplug({
    memory,
    iomem: parseIomem("00000000-1ffffffff : System RAM\n", createIomem(46)),
    placement: () => anyOrderPlacement,
    blockSize: BLOCK,
    addressableEnd: 2 ** 46,
    memmapOnMemory: false,
    autoOnline: "offline",
  });
  const frame = ((16 * GiB) / 4096) as Pfn;
  run(hotplug.locks.lockDeviceHotplug());
  run(hotplug.addMemory(NODE, physAddr(16 * GiB), BLOCK));
  const block = hotplug.block((16 * GiB) / BLOCK);
  run(onlineBlock(hotplug, block, "online_movable"));
  const { memmap, allocator } = memory;
  const page = memmap.pfnToPage(frame);
  run(offlineBlock(hotplug, block));
  expect(allocator.pageblocks.get(page)).toBe(MigrateType.Isolate);
  run(hotplug.removeMemory(physAddr(16 * GiB), BLOCK));
  expect(memmap.pfnToPage(((5 * GiB) / 4096) as Pfn)).toBe(page);
  expect(allocator.pageblocks.get(page)).toBe(MigrateType.Movable);
});
