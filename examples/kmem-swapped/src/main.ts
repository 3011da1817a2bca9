// The same session on two machines: one with the kernel's kmem, one with another driver in its place. A driver is a part of
// `createMachine(spec, parts)`. daxctl, /sys and the shell know drivers by their names only, and work with either.
import { run } from "@hetmem/kernel";
import { createMachine, type MachineParts, machineOfYaml, PROFILES, openShell } from "hetmem";
import { ReturnableKmem } from "./returnable-kmem.ts";

/** A machine with 2 GiB of RAM and a CXL device of 1 GiB, whose memory as RAM is node 1. */
const MACHINE = `
name: cxl
nodes:
  - { memory: 2G, cpus: 0-1 }
  - { memory: [], cpus: [] }
devices:
  - { name: Soft Reserved, start: 0x140000000, size: 1G, node: 1 }
`;

const SESSION = [
  // The device becomes RAM, and a process uses 64 MiB of it.
  "daxctl reconfigure-device --mode=system-ram dax0.0 2>/dev/null | grep -E 'mode|online|movable'",
  "proc start app >/dev/null; proc set_mempolicy $(pidof app) preferred 1",
  "proc mmap $(pidof app) 64M --populate >/dev/null; grep -o 'N[01]=16384' /proc/$(pidof app)/numa_maps",
  // The driver lets go of it.
  "echo dax0.0 > /sys/bus/dax/drivers/kmem/unbind; dmesg | grep 'kmem dax0.0'",
  "grep kmem /proc/iomem",
  "grep -o 'N[01]=16384' /proc/$(pidof app)/numa_maps",
];

session("the kernel's kmem", {});
// Of two drivers with one name the first is registered: ours comes before those of the profile.
session("ours", {
  daxDrivers: [({ pagemaps }) => new ReturnableKmem(pagemaps.hotplug), ...PROFILES["v6.1"].daxDrivers],
});

function session(title: string, parts: Partial<MachineParts>): void {
  console.log(`== ${title}`);
  const machine = createMachine(machineOfYaml(MACHINE, "cxl.yaml", "v6.1"), parts);
  const shell = openShell(machine);
  for (const command of SESSION) {
    console.log(`# ${command}`);
    const { output } = run(shell.execute(command));
    if (output !== "") console.log(output.trimEnd());
  }
}
