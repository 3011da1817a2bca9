// What createMachine() costs for a machine file of 1 GiB, beside a process of the machine below that does nothing. Prints a
// table; asserts nothing. Run after a build: `node bench/machine.mjs`.
import { spawnSync } from "node:child_process";
import { run } from "@hetmem/kernel";
import { createMachine, machineOfYaml } from "hetmem";

const ROUNDS = 100;
const spec = machineOfYaml("nodes: [{ memory: 1G, cpus: 0-1 }]\n", "bench");

const create = timesOf(() => createMachine(spec));
const read = timesOf(() => {
  const { vfs } = createMachine(spec);
  run(vfs.read("/proc/meminfo"));
  run(vfs.read("/sys/devices/system/memory/memory0/state"));
});
const native = timesOf(() => spawnSync("true"));

console.log("\nA machine of 1 GiB, ms each");
console.table([
  row("a process of the machine below that ends at once (the yardstick)", native, ""),
  row("createMachine()", create, "3"),
  row("the same, and one file of /proc and one of /sys read", read, ""),
]);

/** @param {string} what @param {{ middle: number, mean: number }} cost @param {string} limit */
function row(what, { middle, mean }, limit) {
  return {
    what,
    median: middle.toFixed(2),
    // Of process time: what the collector takes is in it, and what others take isn't.
    mean: mean.toFixed(2),
    "× yardstick": (middle / native.middle).toFixed(2),
    limit,
  };
}

/** Milliseconds a round, behind as many that warm up. @param {() => void} body */
function timesOf(body) {
  for (let round = 0; round < ROUNDS; round++) body();
  const times = [];
  const before = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    body();
    times.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  const { user, system } = process.cpuUsage(before);
  return { middle: times.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0, mean: (user + system) / 1000 / ROUNDS };
}
