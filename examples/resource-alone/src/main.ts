// The iomem tree by itself: which ranges of physical addresses are taken, by whom, and where there is room. A bus, two
// drivers and a gpu ask the tree for ranges here, with the functions of kernel/resource.c and nothing else of a machine.
import { formatBytes, GiB, KernelError, MiB } from "@hetmem/kernel";
import {
  allocFreeMemRegion,
  formatIomem,
  iomemMatches,
  IORESOURCE_SYSTEM_RAM,
  parseIomem,
  regionIntersects,
  releaseRegion,
  requestFreeMemRegion,
  requestRegion,
} from "@hetmem/resource";

/** /proc/iomem of a machine with 6 GiB of RAM and a window for CXL memory, as root reads it. */
const CAPTURED = `\
00001000-0009ffff : System RAM
000a0000-000fffff : Reserved
00100000-7fffffff : System RAM
80000000-bfffffff : PCI Bus 0000:00
  80000000-80ffffff : 0000:00:01.0
100000000-1ffffffff : System RAM
400000000-7ffffffff : CXL Window 0
`;

const iomem = parseIomem(CAPTURED);

// A walk, as walk_system_ram_res() makes one: the RAM that the machine has at boot.
const ram = [...iomemMatches(iomem, 0, iomem.end, IORESOURCE_SYSTEM_RAM)];
console.log(`RAM: ${formatBytes(ram.reduce((sum, { start, end }) => sum + end - start + 1, 0))}`);

// The CXL bus puts a memory region at the lowest free address of its window.
const window = iomem.children.find(({ name }) => name === "CXL Window 0");
if (window === undefined) throw new Error("the machine has no window for CXL memory");
const region = allocFreeMemRegion(window, 2 * GiB, 256 * MiB, "region0");

// The kmem driver makes one half of the region RAM, and another driver wants a range that reaches into that half.
requestRegion(region, region.start, GiB, "System RAM (kmem)", IORESOURCE_SYSTEM_RAM);
try {
  requestRegion(iomem, region.start + 512 * MiB, GiB, "pmem0");
} catch (error) {
  if (!(error instanceof KernelError)) throw error;
  console.log(`refused: ${error.message}`);
}

// devm_memremap_pages() asks this before it makes struct pages: REGION_DISJOINT lets it go on.
for (const start of [region.start, region.start + GiB]) {
  const answer = regionIntersects(iomem, start, GiB, IORESOURCE_SYSTEM_RAM);
  console.log(`RAM at 0x${start.toString(16)}? ${answer}`);
}

// The memory of a gpu that no cpu reaches needs addresses all the same, for its struct pages: from the top of the space.
requestFreeMemRegion(iomem, GiB, "gpu0");

console.log(formatIomem(iomem, { privileged: true }).trimEnd());

// The driver goes: its range is free again, and the region stays.
releaseRegion(region, region.start, GiB);
console.log(`in region0 after kmem is gone: ${region.children.length} resources`);
