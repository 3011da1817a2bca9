// What a machine costs: kernel, memory, processes and one written page on 256 pages, made anew each time as an explorer does,
// beside a realm of V8 with nothing in it. Prints a table; asserts nothing. `node bench/small-machine.mjs` after a build.
import { createContext } from "node:vm";
import { createKernel, MiB, nodeId, physAddr, run } from "@hetmem/kernel";
import { Vm, writeUser } from "@hetmem/mm";
import { bootMemory } from "@hetmem/zone";
import { BASE, median, PAGE, spawn } from "./machine.mjs";

const ROUNDS = 1000;
const WRITTEN = Uint8Array.of(1, 2, 3);

const machine = timesOf(() => {
  const memory = bootMemory(createKernel(), {
    nodes: [{ id: nodeId(0), memory: [{ start: physAddr(MiB), end: physAddr(2 * MiB) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: 46,
    // Room for as much as tests of processes have, so that memory that may come later costs nothing.
    maxPages: (640 * MiB) / PAGE,
    reserved: [],
  });
  run(writeUser(spawn(new Vm(memory), PAGE), BASE, WRITTEN));
});
const realm = timesOf(() => createContext({}));

console.log("\nMachines, µs each");
console.table([
  row("an empty realm of V8 (the yardstick)", realm, ""),
  row("a machine of 256 pages, and a process with one written page", machine, "150, mean 400"),
]);

/** @param {string} what @param {{ middle: number, mean: number }} cost @param {string} limit */
function row(what, { middle, mean }, limit) {
  return {
    what,
    median: middle.toFixed(0),
    // Of process time: what the collector takes is in it, and what others take isn't.
    mean: mean.toFixed(0),
    "× yardstick": (middle / realm.middle).toFixed(2),
    limit,
  };
}

/** Microseconds a round, behind as many that warm up. @param {() => void} body */
function timesOf(body) {
  for (let round = 0; round < ROUNDS; round++) body();
  const times = [];
  const before = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    body();
    times.push(Number(process.hrtime.bigint() - start) / 1000);
  }
  const { user, system } = process.cpuUsage(before);
  return { middle: median(times), mean: (user + system) / ROUNDS };
}
