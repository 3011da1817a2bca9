// Machines have nothing in common: made one behind the other, or worked on in turns, each says what it would say alone.
// A machine's behaviour depends on its specification and the typed commands only, so that a seed or a schedule replays.
import { run } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { PROGRAMS } from "../src/programs/index.ts";

const SPEC = `profile: v6.1
block_size: 128M
physical_bits: 40
nodes:
  - { memory: 1G, cpus: 0-1 }
  - { memory: 512M, cpus: 2-3 }
swap: [{ path: /dev/vdb, size: 64M }]
gpus:
  - { name: gpu0, memory: private, size: 16M, latency: pcie }
devices: [{ name: Soft Reserved, start: 8G, size: 1G }]
`;

/** Every subsystem in turn; `find` and `grep -r` at the end read all that it left. */
const SCRIPT: readonly string[] = [
  "cat /proc/meminfo /proc/zoneinfo /proc/pagetypeinfo",
  "cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir job; echo 12M > job/memory.max; cd /",
  "echo $$ > /sys/fs/cgroup/job/cgroup.procs; A=$(proc start hog); echo $$ > /sys/fs/cgroup/cgroup.procs",
  "M=$(proc mmap $A 16M --populate); proc write $A $M hello; proc touch $A $M 16M",
  "B=$(proc start app); N=$(proc mmap $B 8M --populate); gpu migrate $B $N 64K; gpu run gpu0 $B add $N 16",
  "proc fork $B; proc mbind $B $N 1M bind 1; cat /proc/$B/numa_maps /proc/$B/smaps",
  "head -c 300000 /dev/zero > /tmp/zeros; echo words > /tmp/words; cat /tmp/words; md5sum /tmp/zeros",
  "echo offline > /sys/devices/system/memory/memory6/state; cat /sys/devices/system/memory/memory6/state",
  "echo online_movable > /sys/devices/system/memory/memory6/state; echo 0x30000000 > /sys/devices/system/memory/hard_offline_page",
  "daxctl reconfigure-device -m system-ram dax0.0; daxctl list; lsmem",
  "gpu stats; cat /sys/fs/cgroup/job/memory.stat /sys/fs/cgroup/job/memory.events",
  "cat /proc/vmstat /proc/buddyinfo /proc/iomem /proc/meminfo; dmesg",
  "find /sys /proc /dev /tmp; grep -r . /sys/devices/system /sys/fs/cgroup /sys/bus",
];

interface Typed {
  sh(line: string): string;
}

function boot(): Typed {
  const machine = createMachine(machineOfYaml(SPEC, "twins.yaml"));
  const shell = new Shell(machine, PROGRAMS);
  return { sh: (line) => run(shell.execute(line)).output };
}

/** The output of the commands on a fresh machine. */
function session(): string[] {
  const { sh } = boot();
  return SCRIPT.map((line) => sh(line));
}

test("the second machine says what the first said", () => {
  const first = session();
  expect(session()).toEqual(first);
  // Lines that only fail would agree, too.
  expect(first.join("")).toMatch(/used 16 pages[^]*workingset_refault_anon [1-9]/);
});

test("two machines that are worked on in turns say what one says alone", () => {
  const alone = session();
  const [one, other] = [boot(), boot()];
  const said: string[][] = [[], []];
  for (const [i, line] of SCRIPT.entries()) {
    // The other one is a line behind.
    said[0]?.push(one.sh(line));
    const before = SCRIPT[i - 1];
    if (before !== undefined) said[1]?.push(other.sh(before));
  }
  said[1]?.push(other.sh(SCRIPT.at(-1) ?? ""));
  expect(said).toEqual([alone, alone]);
});
