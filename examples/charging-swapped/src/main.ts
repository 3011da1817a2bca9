// A machine whose memory is accounted by tenants and not by memory cgroups. Charging is a part of `createMachine(spec, parts)`,
// and so is the program with which an administrator gives processes to tenants.
import { MiB, run } from "@hetmem/kernel";
import { createMachine, machineOfYaml, openShell } from "hetmem";
import { tenantParts } from "./tenants.ts";

const spec = machineOfYaml("nodes: [{ memory: 1G, cpus: 0-1 }]", "machine.yaml", "v6.1");
const machine = createMachine(spec, tenantParts({ shop: 64 * MiB, guest: 16 * MiB }));
const shell = openShell(machine);

const SESSION = [
  "proc start web >/dev/null; tenant shop $(pidof web)",
  "proc start job >/dev/null; tenant guest $(pidof job)",
  "proc mmap $(pidof web) 32M --populate > /tmp/at; tenant",
  // A child belongs to the tenant of its parent, and pays for what it copies.
  "proc fork $(pidof web) >/dev/null; proc touch $(pidof web | cut -d' ' -f1) $(cat /tmp/at) 8M; tenant",
  // A tenant past its limit gets no page: the process that wanted one is killed.
  "proc mmap $(pidof job) 32M > /tmp/at; proc touch $(pidof job) $(cat /tmp/at) 32M",
  "tenant",
  // Without a controller, cgroups have no files about memory.
  "ls /sys/fs/cgroup | grep -c memory",
];
for (const command of SESSION) {
  console.log(`# ${command}`);
  const { output } = run(shell.execute(command));
  if (output !== "") console.log(output.trimEnd());
}
