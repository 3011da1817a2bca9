// What memory of processes costs here, beside the same on the machine below: a C program that touches, unmaps, forks and
// copies real memory, run before. Prints tables; asserts nothing. Run after a build: `npm run bench` at the root, or
// `node bench/run.mjs`.
import { getUserPagesFastOnly, putUserPages } from "@hetmem/gup";
import { GiB, MiB, nodeId, run } from "@hetmem/kernel";
import { MigrateMode, migratePages, MigrateReason, migrationTarget } from "@hetmem/migrate";
import { exitProcess, forkProcess, munmap, walkPageRange } from "@hetmem/mm";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { BASE, bootVm, measure, median, PAGE, spawn, touch } from "./machine.mjs";
import { measureNative } from "./native.mjs";

const ROUNDS = 7;
const native = measureNative();
if (!native) console.log("No C compiler (cc): the native half is left out.");
const rows = [];

/** @param {number} ns @param {number | undefined} nativeNs @param {string} limit */
function row(what, ns, nativeNs, limit) {
  rows.push({
    what,
    "here, ns": ns.toFixed(1),
    "native, ns": nativeNs?.toFixed(0) ?? "",
    "times faster": nativeNs ? (nativeNs / ns).toFixed(1) : "",
    limit,
  });
}

const vm = bootVm(4, 4);
const part = 256 * MiB;
const end = (process) => run(exitProcess(process));

const touched = () => {
  const process = spawn(vm, part);
  touch(process, 0, part);
  return process;
};
const unmap = measure(ROUNDS, part / PAGE, touched, ({ mm }) => run(munmap(mm, BASE, part)), end);
row("munmap, a page", unmap, native?.unmap_ns, "3 times faster");

// Behind the others, which warm up the same path: the first processes of a machine are compiled while they run.
const fault = measure(
  ROUNDS,
  part / PAGE,
  () => spawn(vm, part),
  (process) => touch(process, 0, part),
  end,
);
row("a write fault on anonymous memory, a page", fault, native?.fault_ns, "12 times faster");

const parent = spawn(vm, GiB);
touch(parent, 0, GiB);
let child;
const fork = measure(
  ROUNDS,
  1,
  () => parent,
  () => (child = run(forkProcess(parent))),
  () => end(child),
);
row("fork of a process of 1 GiB", fork, native?.fork_gib_ns, "5 times faster");
end(parent);

const process = touched();
const pages = new Int32Array(part / PAGE);
// A round takes less than a millisecond: it takes many until the walk is compiled.
const gup = measure(
  4 * ROUNDS,
  pages.length,
  () => pages,
  () => getUserPagesFastOnly(process.mm, BASE, pages.length, { write: true }, pages),
  () => putUserPages(vm, pages),
);
row("get_user_pages_fast, a page", gup, undefined, "25 ns");

const snapshot = new Int32Array(part / PAGE);
const { mmapLock, pageTable } = process.mm;
run(mmapLock.downRead());
const walk = measure(
  ROUNDS,
  snapshot.length,
  () => 0,
  () => {
    let at = 0;
    walkPageRange(process.mm, BASE, BASE + part, {
      pteRange(first, address, next) {
        const { words } = pageTable;
        const last = first + (next - address) / PAGE;
        for (let entry = first; entry < last; entry++) snapshot[at++] = words[entry << 1];
        return 0;
      },
    });
  },
  () => {},
);
mmapLock.upRead();
row("a snapshot of the page tables, a page", walk, undefined, "5 ns");
end(process);

console.log("\nProcesses");
console.table(rows);

const moved = 64 * MiB;
const filled = spawn(vm, moved);
touch(filled, 0, moved);
const pageAt = (at) => filled.mm.pageTable.value(filled.mm.pageTable.find(BASE + at));
for (let at = 0; at < moved; at += PAGE) vm.memmap.contents.materialise(pageAt(at)).fill(at >> 12);
let to = 1;
const isolated = Array.from({ length: moved / PAGE }, () => 0);
const migrate = measure(
  ROUNDS,
  moved / PAGE,
  () => {
    for (let i = 0; i < isolated.length; i++) {
      isolated[i] = pageAt(i * PAGE);
      vm.lru.isolate(isolated[i]);
    }
    return migrationTarget(vm, { node: nodeId(to), gfp: GFP_HIGHUSER_MOVABLE });
  },
  (target) => {
    const { migrated } = run(migratePages(vm, isolated, target, MigrateMode.Sync, MigrateReason.Syscall));
    if (migrated !== isolated.length) throw new Error(`only ${migrated} pages moved`);
  },
  () => (to = 1 - to),
);
end(filled);
const from = Buffer.alloc(moved, 1);
const into = Buffer.alloc(moved, 2);
const copy = measure(
  ROUNDS,
  moved / PAGE,
  () => 0,
  () => from.copy(into),
  () => {},
);
const gibs = (ns) => (PAGE / ns / 1.073741824).toFixed(2);
console.log("Migration of 64 MiB with contents between two nodes");
console.table([
  { what: "Buffer.copy", "ns a page": copy.toFixed(0), "GiB/s": gibs(copy), share: "" },
  {
    what: "migrate_pages",
    "ns a page": migrate.toFixed(0),
    "GiB/s": gibs(migrate),
    share: `${((100 * copy) / migrate).toFixed(0)} % (limit 55 %)`,
  },
]);

console.log("Growth: a write fault while the mapped memory doubles, page tables and their growth among it");
const big = bootVm(68);
// Once through all of it: a real machine has initialised its struct pages before the first process comes.
const warm = spawn(big, 64 * GiB);
touch(warm, 0, 64 * GiB);
end(warm);
const growth = [];
for (const rounds of [8, 1]) {
  // Small sizes are over before the clock has ticked often: they are measured several times.
  const sizes = rounds === 1 ? [2 * GiB, 8 * GiB, 32 * GiB, 64 * GiB] : [16 * MiB, 64 * MiB, 256 * MiB];
  for (const size of sizes) {
    const ns = measureGrowth(size, rounds);
    growth.push({ mapped: size >= GiB ? `${size / GiB} GiB` : `${size / MiB} MiB`, ns });
  }
}
const least = Math.min(...growth.map(({ ns }) => ns));
console.table(
  growth.map(({ mapped, ns }) => ({
    mapped,
    "ns a fault": ns.toFixed(1),
    "of the least (limit 1.5)": (ns / least).toFixed(2),
  })),
);

/** Nanoseconds a fault from half of a size to all of it. @param {number} size @param {number} rounds */
function measureGrowth(size, rounds) {
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    const giant = spawn(big, size);
    touch(giant, 0, size / 2);
    const start = globalThis.process.hrtime.bigint();
    touch(giant, size / 2, size);
    samples.push(Number(globalThis.process.hrtime.bigint() - start) / (size / 2 / PAGE));
    end(giant);
  }
  return median(samples);
}
