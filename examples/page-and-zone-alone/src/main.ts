// struct page, zones and hotplug by themselves: a machine boots its memory, the buddy allocator splits and merges blocks,
// and a memory block is added, brought online, refused to go offline while a page is in use, and removed. No process, no
// device and no file is there.
import { createKernel, GiB, KernelError, MiB, nodeId, physAddr, run } from "@hetmem/kernel";
import { describePage } from "@hetmem/page";
import { createIomem, formatIomem } from "@hetmem/resource";
import { Vfs } from "@hetmem/vfs";
import {
  allZones,
  bootMemory,
  Gfp,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  MemoryHotplug,
  offlineBlock,
  onlineBlock,
  procTables,
} from "@hetmem/zone";

const NODE = nodeId(0);
const BLOCK = 128 * MiB;
/** Physical address of the memory that is plugged in later. */
const PLUGGED = physAddr(8 * GiB);

const memory = bootMemory(createKernel(), {
  nodes: [{ id: NODE, memory: [{ start: physAddr(0), end: physAddr(512 * MiB) }], cpus: [0] }],
  physicalBits: 40,
  // Room for the pages of boot and of one more block.
  maxPages: GiB / 4096,
  // What firmware and kernel keep for themselves.
  reserved: [{ start: physAddr(0), end: physAddr(MiB) }],
});
const { allocator, memmap } = memory;

const vfs = new Vfs();
for (const table of procTables(memory)) vfs.mount(table);
/** Free blocks of each order in zone DMA32, which has most of the memory: the last line of /proc/buddyinfo. */
const buddyinfo = (): string | undefined => run(vfs.read("/proc/buddyinfo")).trimEnd().split("\n").at(-1);

console.log(
  "Boot: each zone has its pages, and the lists of the buddy allocator are filled as they run out.",
);
for (const zone of allZones(memory))
  if (zone.populated) console.log(`${zone.name}: ${zone.managedPages} of ${zone.presentPages} pages`);

console.log("\nEight pages in one block: a larger block is split for them, and merged when they are freed.");
const eight = allocator.allocPages(GFP_KERNEL, 3, NODE);
console.log(describePage(memmap, eight));
console.log(buddyinfo());
allocator.freePages(eight, 3);
allocator.drainPcp(allocator.zoneOf(eight));
console.log(buddyinfo());

console.log("\nHotplug: a block of 128 MiB is added, used, and removed.");
const hotplug = new MemoryHotplug({
  memory,
  iomem: createIomem(40),
});
run(hotplug.locks.lockDeviceHotplug());
run(hotplug.addMemory(NODE, PLUGGED, BLOCK));
const block = hotplug.block(PLUGGED / BLOCK);
console.log(
  `memory${block.id} is ${block.state}: ${formatIomem(hotplug.iomem, { privileged: true }).trim()}`,
);
run(onlineBlock(hotplug, block, "online_movable"));
console.log(`memory${block.id} is ${block.state} in ${block.zone?.name}, as an administrator asked for it`);

// A page of it is in use, and nothing in this program knows how to move it: the block stays, and the error names the page.
const used = allocator.allocPages(GFP_HIGHUSER_MOVABLE | Gfp.THISNODE, 0, NODE);
try {
  run(offlineBlock(hotplug, block));
} catch (error) {
  if (!(error instanceof KernelError)) throw error;
  console.log(`refused: ${error.message}`);
}

memmap.putPage(used);
run(offlineBlock(hotplug, block));
run(hotplug.removeMemory(PLUGGED, BLOCK));
console.log(`blocks that are left: ${hotplug.blocks.size}`);
hotplug.locks.unlockDeviceHotplug();
