// One side of the fault benchmark, in a process of its own, as machines are: code that has seen both kinds of machines
// would be slow with either. Prints nanoseconds a page as JSON. `node bench/faults.mjs charged|uncharged`
import { MiB, run } from "@hetmem/kernel";
import { exitProcess, munmap } from "@hetmem/mm";
import { BASE, boot, median, PAGE, spawn, timed, touch } from "./machine.mjs";

const BYTES = 256 * MiB;
/** Before, the code isn't compiled to the end. */
const WARM_UP = 40;
const ROUNDS = 21;

const machine = boot(2, process.argv[2] === "charged");
const rounds = { touch: [], unmap: [] };
for (let round = 0; round < WARM_UP + ROUNDS; round++) {
  const owner = spawn(machine, BYTES);
  rounds.touch.push(timed(() => touch(owner, owner, BYTES)) / (BYTES / PAGE));
  rounds.unmap.push(timed(() => run(munmap(owner.mm, BASE, BYTES))) / (BYTES / PAGE));
  run(exitProcess(owner));
}
console.log(
  JSON.stringify({ touch: median(rounds.touch.slice(WARM_UP)), unmap: median(rounds.unmap.slice(WARM_UP)) }),
);
