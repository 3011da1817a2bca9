// What device memory costs: mapping and releasing 256 GiB beside the plain filling of as many struct pages, and finding
// the pagemap of a frame among 10,000. Prints tables; asserts nothing. Run after a build: `npm run bench` at the root,
// or `node bench/memremap.mjs`.
import { createKernel, GiB, MiB, nodeId, physAddr, Random, run } from "@hetmem/kernel";
import {
  DevPagemap,
  idleAtZero,
  MemoryType,
  Pagemaps,
  publicDeviceMemory,
  subsectionCollision,
} from "@hetmem/memremap";
import { MemMap, PAGES_PER_SECTION, sectionToPfn } from "@hetmem/page";
import { createIomem, insertResource, IORESOURCE_SYSTEM_RAM, Resource } from "@hetmem/resource";
import { anyOrderPlacement, bootMemory, MemoryHotplug, ZoneType } from "@hetmem/zone";

const NODE = nodeId(0);
const DEVICE = 256 * GiB;
const PAGES = DEVICE / 4096;
const ROUNDS = 7;
const BITS = 46;

/** @param {number} ram bytes @param {number} room bytes */
function boot(ram, room) {
  const memory = bootMemory(createKernel(), {
    nodes: [{ id: NODE, memory: [{ start: physAddr(0), end: physAddr(ram) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: BITS,
    maxPages: (ram + room) / 4096,
    reserved: [],
  });
  const iomem = createIomem(BITS);
  insertResource(
    iomem,
    new Resource({ name: "System RAM", start: 0, end: ram - 1, flags: IORESOURCE_SYSTEM_RAM }),
  );
  const hotplug = new MemoryHotplug({
    memory,
    iomem,
    placement: () => anyOrderPlacement,
    blockSize: 128 * MiB,
    addressableEnd: 2 ** BITS,
    memmapOnMemory: false,
    autoOnline: "offline",
  });
  return new Pagemaps({
    hotplug,
    physicalBits: BITS,
    policies: { memoryTypes: publicDeviceMemory, collision: subsectionCollision, idle: idleAtZero },
  });
}

/** @param {string} name @param {number} start @param {number} size @param {{ reserve: number, free: number } | undefined} altmap */
function device(name, start, size, altmap) {
  return new DevPagemap({
    type: MemoryType.DeviceGeneric,
    name,
    ranges: [{ start, size }],
    ...(altmap && { altmap }),
  });
}

/** Nanoseconds, the median of some rounds behind one that warms up. @param {() => void} body */
function median(body) {
  const times = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const start = process.hrtime.bigint();
    body();
    times.push(Number(process.hrtime.bigint() - start));
  }
  return times.slice(1).sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
}

// The yardstick: the same struct pages, filled in a section at a time, in a memmap whose memory the system has given.
function fill() {
  const memmap = new MemMap({ maxPages: PAGES, physicalBits: BITS });
  const sections = PAGES / PAGES_PER_SECTION;
  memmap.sections.addSections(32, 32 + sections, NODE, 0);
  return (
    median(() => {
      for (let section = 32; section < 32 + sections; section++)
        memmap.initDeviceRange(memmap.pfnToPage(sectionToPfn(section)), PAGES_PER_SECTION, {
          zone: ZoneType.Device,
          pagemap: 1,
          references: 1,
        });
    }) / PAGES
  );
}

/** @param {string} what @param {number} ns @param {string} limit */
const mapping = [];
const filling = fill();
mapping.push({
  what: "fill the fields of a struct page (the yardstick)",
  "ns a page": filling.toFixed(2),
  "over it": "",
  limit: "",
});
for (const [what, altmap] of /** @type {const} */ ([
  ["map and release 256 GiB, struct pages in RAM", undefined],
  ["map and release 256 GiB, struct pages in the device", { reserve: 512, free: PAGES / 64 }],
])) {
  const pagemaps = boot(8 * GiB, DEVICE);
  const pagemap = device("pmem0", 16 * GiB, DEVICE, altmap);
  const ns = median(() => {
    run(pagemaps.memremapPages(pagemap, NODE));
    run(pagemaps.memunmapPages(pagemap));
  });
  const each = ns / PAGES;
  mapping.push({
    what,
    "ns a page": each.toFixed(2),
    "over it": (each - filling).toFixed(2),
    limit: "4 ns over it",
  });
}
console.log("\nMapping device memory");
console.table(mapping);

const LOOKUPS = 1 << 20;
const MAPS = 10_000;
const pagemaps = boot(4 * GiB, (MAPS + 1000) * 4 * MiB);
const random = new Random(1);
for (let i = 0; i < MAPS; i++)
  run(pagemaps.memremapPages(device(`dax${i}`, 16 * GiB + i * 4 * MiB, 2 * MiB), NODE));
const frames = Float64Array.from(
  { length: LOOKUPS },
  () => (16 * GiB + random.below(MAPS) * 4 * MiB) / 4096 + random.below(512),
);
const inOrder = Float64Array.from(frames).sort();

/** Lookups that find, each of another pagemap; all references are given back behind them. @param {Float64Array} order */
function uncached(order) {
  const lookups = median(() => {
    for (let i = 0; i < LOOKUPS; i++) pagemaps.getDevPagemap(order[i]);
  });
  for (const pagemap of pagemaps.mapped()) pagemap.ref.putMany(pagemap.ref.count - 1 - pagemap.pages(0));
  return lookups / LOOKUPS;
}
const one = pagemaps.getDevPagemap(frames[0]);
const first = one.firstFrame;
const cached =
  median(() => {
    let held = one;
    for (let i = 0; i < LOOKUPS; i++) held = pagemaps.getDevPagemap(first + (i & 511), held);
  }) / LOOKUPS;
const walk =
  median(() => {
    let held;
    for (let i = 0; i < LOOKUPS; i++) held = pagemaps.getDevPagemap(inOrder[i], held);
    pagemaps.putDevPagemap(held);
  }) / LOOKUPS;
console.log(`Finding a pagemap among ${MAPS}`);
console.table([
  { what: "get_dev_pagemap, cached: the next frame of the same map", ns: cached.toFixed(1), limit: "10 ns" },
  { what: "get_dev_pagemap, cached, over all maps in order", ns: walk.toFixed(1), limit: "" },
  { what: "get_dev_pagemap, not cached, frames in order", ns: uncached(inOrder).toFixed(1), limit: "" },
  { what: "get_dev_pagemap, not cached, frames at random", ns: uncached(frames).toFixed(1), limit: "40 ns" },
]);
