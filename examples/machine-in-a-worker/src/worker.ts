// The machine lives here, apart from the page, which can be scrolled while a command runs. Programs such as daxctl and proc are
// files of their own, which the browser fetches when they are first called.
import { createMachine, machineOfYaml, Shell } from "hetmem";
import { drive, PROGRAMS_ON_DEMAND } from "hetmem/on-demand";
import type { Answer, Command } from "./messages.ts";

/** A node with cpus, and a CXL device whose memory can be made a second node. */
const MACHINE = `
name: browser
nodes:
  - { memory: 2G, cpus: 0-1 }
  - { memory: [], cpus: [] }
devices:
  - { name: Soft Reserved, start: 0x140000000, size: 1G, node: 1 }
`;

const machine = createMachine(machineOfYaml(MACHINE, "machine.yaml", "v6.1"));
const shell = new Shell(machine, PROGRAMS_ON_DEMAND);
// Behind each refused write, the reason, which a kernel doesn't give.
shell.explainWith(({ reason }) => `    ${reason}\n`);

// The page sends one command at a time.
addEventListener("message", async ({ data }: MessageEvent<Command>) => {
  const { output } = await drive(shell.execute(data.text));
  answer({ kind: "ended", output });
});
answer({ kind: "booted", release: machine.spec.release });

function answer(message: Answer): void {
  postMessage(message);
}
