// A clock of one's own: it counts the simulated time that operations took.
import assert from "node:assert/strict";
import { type Clock, run, SimulatedClock } from "@hetmem/kernel";
import { createMachine, machineOfYaml, openShell } from "hetmem";

let advances = 0;
class Watched extends SimulatedClock {
  override advance(ns: number): void {
    advances++;
    super.advance(ns);
  }
}
const later = (): Clock => {
  const clock = new Watched();
  clock.advance(3600e9); // boots after an hour
  return clock;
};
const machine = createMachine(machineOfYaml("nodes: [{ memory: 1G, cpus: 0-1 }]", "clock.yaml", "v6.1"), {
  clock: later,
});
const shell = openShell(machine);
const sh = (line: string) => run(shell.execute(line)).output;
assert.equal(machine.kernel.clock.nowNs, 3600e9);
assert.match(sh("dmesg | head -1"), /^\[ 3600\.000000\] /);
sh("sleep 2");
assert.equal(machine.kernel.clock.nowNs, 3602e9);
console.log(`06c: the log begins at 3600 s (${advances} advances)`);
