// An OOM choice of one's own: the youngest process dies, but never the one that asks, nor the tool that runs it.
import assert from "node:assert/strict";
import { run } from "@hetmem/kernel";
import type { OomChoice } from "@hetmem/mm/ports";
import { createMachine, machineOfYaml, openShell } from "hetmem";

const youngest: OomChoice = {
  selectBadProcess({ candidates, current }) {
    const alive = [...candidates()].filter((each) => each !== current && each.comm !== "proc");
    if (alive.some((each) => each.mm?.oom === "victim")) return "dying";
    return alive.filter((each) => each.mm?.oom === "none").sort((a, b) => b.pid - a.pid)[0];
  },
  oomBadness: (process) => process.pid,
};
const spec = machineOfYaml("nodes: [{ memory: 256M, cpus: 0-1 }]", "oom.yaml", "v6.1");
const shell = openShell(createMachine(spec, { oomChoice: () => youngest }));
const sh = (line: string) => run(shell.execute(line));

const [hog, old, young] = ["hog", "old", "young"].map((name) => sh(`proc start ${name}`).output.trim());
for (const pid of [young, hog]) {
  const address = sh(`proc mmap ${pid} 150M`).output.trim();
  assert.equal(sh(`proc touch ${pid} ${address} 150M`).status, 0);
}
assert.match(sh("dmesg").output, new RegExp(`Killed process ${young} \\(young\\)`));
assert.equal(sh("pidof young").status, 1);
assert.equal(sh("pidof old").output, `${old}\n`);
console.log("the youngest was killed for the hog");
