// What memory cgroups cost: a charge and its return, a fault with and without them, and ten thousand of them. Prints
// tables; asserts nothing. Run after a build: `npm run bench` at the root, or `node --expose-gc bench/run.mjs`.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { MiB } from "@hetmem/kernel";
import { memoryStatText } from "@hetmem/memcg";
import { boot, median, spawn, timed } from "./machine.mjs";

const ROUNDS = 21;
const rows = [];
const row = (what, value, limit) => rows.push({ what, value, limit });

row("charge and uncharge of a page, three levels", `${chargeNs().toFixed(1)} ns`, "8 ns");
faults();
thousands();
console.log("\nMemory cgroups");
console.table(rows);

/** Pages as a process's are: charged one by one, given back a table's at a time. */
function chargeNs() {
  const machine = boot(1, true);
  const { mm } = spawn(machine, MiB);
  const { charging } = machine.memcgs;
  const batch = 512;
  const pages = Int32Array.from({ length: batch }, (_, i) => machine.vm.memmap.pfnToPage(100_000 + i));
  const rounds = Array.from({ length: ROUNDS * 2 }, () =>
    timed(() => {
      for (let times = 0; times < 2000; times++) {
        for (let i = 0; i < batch; i++) charging.tryCharge(mm, pages[i], 1);
        charging.unchargeBatch(pages, batch);
      }
    }),
  );
  return Math.min(...rounds.slice(ROUNDS)) / 2000 / batch;
}

/** Both sides in turn, so that both see the same weather; of each the best, which somebody else's work has disturbed least. */
function faults() {
  const sides = { uncharged: [], charged: [] };
  for (let turn = 0; turn < 5; turn++)
    for (const [side, turns] of Object.entries(sides)) turns.push(measured(side));
  for (const [what, key] of [
    ["a write fault", "touch"],
    ["munmap, a page", "unmap"],
  ]) {
    const [plain, paid] = Object.values(sides).map((turns) => Math.min(...turns.map((turn) => turn[key])));
    const times = (paid / plain).toFixed(2);
    row(
      `${what}: ${plain.toFixed(1)} ns without, ${paid.toFixed(1)} ns with cgroups`,
      `${times} times`,
      "1.3 times",
    );
  }
}

/** @param {string} side "charged" or "uncharged" */
function measured(side) {
  const script = fileURLToPath(new URL("faults.mjs", import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [script, side], { encoding: "utf8" }));
}

/** Ten thousand cgroups with ten pages each. */
function thousands() {
  const COUNT = 10_000;
  const machine = boot(4, true);
  const { memcgs, vm } = machine;
  const { mm } = spawn(machine, MiB);
  const pages = [];
  for (let i = 0; i < COUNT * 10; i++) pages.push(vm.memory.allocator.allocPages(0x400, 0, 0));
  globalThis.gc?.();
  const before = globalThis.process.memoryUsage();
  const created = [];
  for (let i = 0; i < COUNT; i++) {
    const cgroup = memcgs.create(memcgs.root, `c${i}`);
    created.push(cgroup);
    memcgs.attach(mm, cgroup);
    for (let j = 0; j < 10; j++) {
      const page = pages[i * 10 + j];
      if (!memcgs.charging.tryCharge(mm, page, 1)) throw new Error("not charged");
      memcgs.stats.page(page, 0, 17, 1);
      vm.memmap.set(page, 1 << 13);
      vm.lru.add(page);
    }
  }
  globalThis.gc?.();
  const after = globalThis.process.memoryUsage();
  const bytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  row("10,000 cgroups with 10 pages each, a cgroup", `${(bytes / COUNT).toFixed(0)} bytes`, "2048 bytes");
  const first = timed(() => memoryStatText(memcgs, memcgs.root)) / 1e6;
  const reads = Array.from({ length: 21 }, () => {
    // Something has happened in each of them since the last look.
    for (let i = 0; i < COUNT; i++) memcgs.stats.page(pages[i * 10], 0, 17, 0);
    return timed(() => memoryStatText(memcgs, memcgs.root)) / 1e6;
  });
  row("the root's memory.stat, first", `${first.toFixed(2)} ms`, "1 ms");
  row("the root's memory.stat, all have changed since", `${median(reads).toFixed(2)} ms`, "1 ms");
  if (created.length !== COUNT) throw new Error("unreachable");
}
