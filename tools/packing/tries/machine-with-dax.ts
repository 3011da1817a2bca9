// A machine with memory and a dax device; shell commands in it from code.
import assert from "node:assert/strict";
import { run } from "@hetmem/kernel";
import { createMachine, machineOfYaml, openShell } from "hetmem";

const yaml = `
nodes:
  - { memory: 2G, cpus: 0-3 }
  - { cpus: [] }
devices:
  - { name: Soft Reserved, start: 8G, size: 1G, node: 1 }
`;
const shell = openShell(createMachine(machineOfYaml(yaml, "one-dax.yaml", "v6.1")));
const sh = (line: string) => run(shell.execute(line));

const [device] = JSON.parse(sh("daxctl list").output);
assert.deepEqual([device.chardev, device.size, device.mode], ["dax0.0", 2 ** 30, "devdax"]);
assert.equal(sh("cat /sys/bus/dax/devices/dax0.0/target_node").output, "1\n");
const online = sh("daxctl reconfigure-device --mode=system-ram dax0.0");
assert.equal(online.status, 0, online.stderr);
assert.equal(sh("cat /sys/devices/system/node/has_memory").output, "0-1\n");
console.log("booted, dax0.0 became node 1");
