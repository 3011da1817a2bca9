// A shell program of one's own, and a udev rule that runs it for a new dax device.
import assert from "node:assert/strict";
import { run } from "@hetmem/kernel";
import { createMachine, machineOfYaml, openShell, type Program } from "hetmem";

const nodes: Program = function* (io, [which = "online"]) {
  yield* io.turn();
  io.out(`nodes ${yield* io.vfs.read(`/sys/devices/system/node/${which}`)}`);
  return 0;
};
const yaml = `
nodes: [{ memory: 1G, cpus: 0-1 }, { cpus: [] }]
devices: [{ name: Soft Reserved, start: 8G, size: 1G, node: 1 }]
`;
const machine = createMachine(machineOfYaml(yaml, "program.yaml", "v6.1"), {
  programs: { nodes: { run: nodes, summary: "prints which nodes there are" } },
  udevRules: [
    { device: "dax*", run: "daxctl reconfigure-device --mode=system-ram dax0.0; nodes > /tmp/after" },
  ],
});
const shell = openShell(machine);
const sh = (line: string) => run(shell.execute(line));
assert.equal(sh("cat /tmp/after").output, "nodes 0-1\n"); // the rule ran before the first line
assert.equal(sh("nodes has_cpu | tr a-z A-Z").output, "NODES 0\n");
assert.equal(sh("nodes nothing").stderr, "nodes: No such file or directory\n");
assert.match(sh("help").output, /^nodes +prints which nodes there are$/m);
console.log("a rule ran daxctl and my program; the shell lists it");
