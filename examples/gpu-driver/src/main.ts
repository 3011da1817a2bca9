// A machine with two devices: our driver takes the one whose memory is private, and the reference driver the other. The
// program `gpu` and /proc work with both.
import { run } from "@hetmem/kernel";
import { createMachine, machineOfYaml, openShell, PROFILES } from "hetmem";
import { mirrorDriver } from "./mirror-driver.ts";

const MACHINE = `
nodes: [{ memory: 1G, cpus: 0-1 }]
gpus:
  - { name: gpu0, memory: private, size: 64M }
  - { name: gpu1, memory: coherent, size: 64M, start: 0x200000000 }
`;

const spec = machineOfYaml(MACHINE, "two-devices.yaml", "v6.1");
// The first driver of the list that matches a device gets it.
const machine = createMachine(spec, { gpuDrivers: [mirrorDriver, ...PROFILES["v6.1"].gpuDrivers] });
const shell = openShell(machine);
// Behind each refusal, the reason, as at a prompt.
shell.explainWith(({ reason }) => `    ${reason}\n`);

const SESSION = [
  "proc start app >/dev/null; proc mmap $(pidof app) 16K > /tmp/at; proc write $(pidof app) $(cat /tmp/at) hello",
  "gpu run gpu0 $(pidof app) write $(cat /tmp/at) 5 HELLO; proc read $(pidof app) $(cat /tmp/at) 5",
  // The reference device takes the page to its memory. Ours loses its entry, and finds the page there at its next access.
  "gpu migrate $(pidof app) $(cat /tmp/at) 4096 --gpu gpu1; gpu run gpu0 $(pidof app) read $(cat /tmp/at) 5",
  "gpu stats --gpu gpu0",
  // What our driver hasn't, the machine refuses.
  "gpu migrate $(pidof app) $(cat /tmp/at) 4096 --gpu gpu0",
];
for (const command of SESSION) {
  console.log(`# ${command}`);
  const { output } = run(shell.execute(command));
  if (output !== "") console.log(output.trimEnd());
}
