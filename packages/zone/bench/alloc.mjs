// What a page costs: allocation and free beside the plain array work that no allocator could do without, measured in the
// same run. Prints a table; asserts nothing. Run after a build: `npm run bench` at the root, or `node bench/alloc.mjs`.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createKernel, GiB, nodeId, physAddr, Random } from "@hetmem/kernel";
import { MemMap, PAGE_WORDS } from "@hetmem/page";
import { allZones, bootMemory, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, ZoneType } from "@hetmem/zone";

const ROUNDS = 9;
const PAGES = 1 << 16;
const NODE = nodeId(0);

/** @param {number} gib */
function boot(gib) {
  return bootMemory(createKernel(), {
    nodes: [{ id: NODE, memory: [{ start: physAddr(0), end: physAddr(gib * GiB) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: 46,
    maxPages: (gib * GiB) / 4096,
    reserved: [],
  });
}

/** Nanoseconds an operation, the median of some rounds behind as many that warm up. @param {number} count @param {() => void} body */
function measure(count, body) {
  const times = [];
  for (let round = 0; round < ROUNDS * 2; round++) {
    const start = process.hrtime.bigint();
    body();
    times.push(Number(process.hrtime.bigint() - start) / count);
  }
  return times.slice(ROUNDS).sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
}

const rows = [];
/** @param {string} what @param {number} ns @param {number} yardstick @param {string} limit */
function row(what, ns, yardstick, limit) {
  rows.push({ what, ns: ns.toFixed(1), "× yardstick": (ns / yardstick).toFixed(1), limit });
}

// The yardstick: reading and writing the two words that every allocation and free must touch.
const words = new Int32Array(PAGES * PAGE_WORDS);
const touch = measure(PAGES * 2, () => {
  for (let page = 0; page < PAGES; page++)
    words[page * PAGE_WORDS + 1] = (words[page * PAGE_WORDS + 1] ?? 0) + (words[page * PAGE_WORDS] ?? 0) + 1;
  for (let page = 0; page < PAGES; page++) words[page * PAGE_WORDS + 1] = 0;
});
row("touch two words of a struct page (the yardstick)", touch, touch, "");

const { allocator } = boot(2);
const one = measure(PAGES, () => {
  for (let i = 0; i < PAGES; i++) allocator.freePages(allocator.allocPages(GFP_KERNEL, 0, NODE), 0);
});
row("allocate and free a page, per-cpu lists", one, touch, "12 ns");

const held = new Int32Array(PAGES);
const inOrder = measure(PAGES, () => {
  for (let i = 0; i < PAGES; i++) held[i] = allocator.allocPages(GFP_KERNEL, 0, NODE);
  for (let i = 0; i < PAGES; i++) allocator.freePages(held[i], 0);
});
row("allocate 64 Ki pages, then free them in order", inOrder, touch, "");

const order = shuffled(PAGES);
const allocate = measure(PAGES, () => {
  for (let i = 0; i < PAGES; i++) held[i] = allocator.allocPages(GFP_KERNEL, 0, NODE);
  for (let i = 0; i < PAGES; i++) allocator.freePages(held[order[i]], 0);
});
row(
  "allocate 64 Ki pages, then free them in random order",
  allocate,
  inOrder,
  "3 × in order (this row's ratio)",
);

const bare = boot(2);
for (const zone of allZones(bare)) zone.pcpDisabled++;
const straight = () => {
  for (let i = 0; i < PAGES; i++)
    bare.allocator.freePages(bare.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, NODE), 0);
};
const empty = measure(PAGES, straight);
row("allocate and free a page, straight from the buddy", child("straight").nsPerPage, touch, "30 ns");
row("the same on an empty machine: ten splits, ten merges", empty, touch, "");

// Onlining writes every field of a struct page. The yardstick here is a plain loop that writes as many words.
const memmap = new MemMap({ maxPages: 32_768 * 4, physicalBits: 46 });
memmap.sections.add(0, 32_768, NODE, 0);
const plain = new Int32Array(32_768 * PAGE_WORDS);
const fill = measure(32_768, () => {
  for (let at = 0; at < plain.length; at++) plain[at] = at;
});
row("fill eight words a page (the yardstick of the next)", fill, fill, "");
const init = measure(32_768, () => memmap.initRange(memmap.pfnToPage(0), 32_768, ZoneType.Normal, 0, 0));
row("initialise a struct page", init, fill, "");
row("online a 128 MiB block, a page", child("online").nsPerPage, fill, "4 × (this row's ratio)");

console.log("\nThe page allocator");
console.table(rows);

const terabyte = child("boot");
const section = child("touch");
console.log("Booting, each in a process of its own");
console.table([
  { what: "boot 1 TiB, process time", measured: `${terabyte.ms.toFixed(1)} ms`, limit: "30 ms" },
  { what: "boot 1 TiB, resident memory", measured: `${terabyte.mib.toFixed(1)} MiB`, limit: "100 MiB" },
  { what: "host bytes an initialised page", measured: section.bytesPerPage.toFixed(1), limit: "32" },
]);

/** What boot.mjs measures in a fresh process. @param {string} what */
function child(what) {
  const script = fileURLToPath(new URL("boot.mjs", import.meta.url));
  return JSON.parse(execFileSync(process.execPath, ["--expose-gc", script, what], { encoding: "utf8" }));
}

/** @param {number} count */
function shuffled(count) {
  const random = new Random(1);
  const places = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [places[i], places[other]] = [places[other] ?? 0, places[i] ?? 0];
  }
  return places;
}
