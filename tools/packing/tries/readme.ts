// The first example of hetmem's README.
import assert from "node:assert/strict";
import { run } from "@hetmem/kernel";
import { createMachine, machineOfYaml, PROGRAMS, Shell } from "hetmem";

const spec = machineOfYaml(
  "name: small\nnodes:\n  - memory: { start: 0, end: 1G }\n    cpus: 0\n",
  "small.yaml",
  "v6.1",
);
const machine = createMachine(spec);
assert.equal(run(machine.vfs.read("/sys/devices/system/memory/block_size_bytes")), "8000000\n");
const shell = new Shell(machine, PROGRAMS);
run(shell.execute("echo 0x100000000 > /sys/devices/system/memory/probe"));
assert.equal(
  run(shell.execute("cat /sys/devices/system/memory/memory32/valid_zones")).output,
  "Normal Movable\n",
);
console.log("the README's example");
