// A migration policy of one's own for a gpu: only writes bring pages to the device.
import assert from "node:assert/strict";
import type { MigrationPolicy } from "@hetmem/gpu/driver";
import { run, virtAddr } from "@hetmem/kernel";
import { createMachine, machineOfYaml, openShell } from "hetmem";

const onWrite: MigrationPolicy = {
  name: "on-write",
  onMiss: ({ start, end, write }) => (write ? { start, end } : undefined),
  onCpuTouch: (address) => ({ start: address, end: virtAddr(address + 4096) }),
};
const yaml = `
nodes: [{ memory: 1G, cpus: 0-1 }]
gpus: [{ name: gpu0, size: 64M, policy: on-write }]
`;
const shell = openShell(createMachine(machineOfYaml(yaml, "gpu.yaml", "v6.1"), { gpuPolicies: [onWrite] }));
const sh = (line: string) => {
  const r = run(shell.execute(line));
  assert.equal(r.status, 0, r.output);
  return r.output.trim();
};
const pid = sh("proc start app");
const address = sh(`proc mmap ${pid} 64K`);
const other = sh(`proc mmap ${pid} 64K --populate`);
const toDevice = () => Number(/toDevice (\d+)/.exec(sh("gpu stats"))?.[1]);
sh(`gpu run gpu0 ${pid} read ${other} 16K`);
assert.equal(toDevice(), 0);
sh(`gpu run gpu0 ${pid} write ${address} 16K hello`);
assert.equal(toDevice(), 4);
assert.match(sh(`proc read ${pid} ${address} 5`), /hello/); // brings one page back
assert.match(sh("gpu stats"), /, on-write\n +used 3 pages/);
console.log("what the gpu wrote went to it, what it read didn't");
