// Each kernel option off, one at a time and all at once, on each release: files can be read and programs called. What a machine lacks
// is an errno and a sentence, never a broken invariant or an error of JavaScript. Where all of /sys costs seconds, /proc is read.
import { KernelError, run } from "@hetmem/kernel";
import { KCONFIG_NAMES, machineOfYaml, PROFILE_NAMES, type ProfileName } from "@hetmem/machine-spec";
import { expect, test } from "vitest";
import { createMachine, type Machine } from "../src/machine.ts";
import { PROFILES } from "../src/parts/profiles.ts";
import { openShell } from "../src/programs/open-shell.ts";

/** As much of a machine as options can take away. */
const FILE = `
nodes:
  - { memory: 128M, cpus: 0 }
  - { }
hidden: [{ start: 4G, size: 128M }]
devices:
  - { name: Persistent Memory, start: 8G, size: 128M, node: 1, modules: 1 }
  - { name: Soft Reserved, start: 12G, size: 128M, node: 1 }
gpus: [{ size: 2M }]
`;

/** Programs, with the files that they write. */
const SCRIPT = [
  "lsmem; daxctl list -RD; ndctl list -RNDu; numactl -H; free; gpu help",
  "mkdir /sys/fs/cgroup/a; echo +memory > /sys/fs/cgroup/cgroup.subtree_control; echo $$ > /sys/fs/cgroup/a/cgroup.procs; explain /a",
  "echo 0x100000000 > /sys/devices/system/memory/probe; echo online > /sys/devices/system/memory/memory32/state",
  "daxctl reconfigure-device -m system-ram dax1.0; ndctl create-namespace -m devdax; swapon --size 1M /dev/vda",
  "P=$(proc start a); A=$(proc mmap $P 2M --populate); proc madvise $P $A 2M HUGEPAGE; gpu migrate $P $A 8K; proc madvise $P $A 4K HWPOISON",
];

function machineWithout(options: readonly string[], profile: ProfileName, more = ""): Machine {
  const off = options.map((option) => `${option}=n`).join(", ");
  return createMachine(
    machineOfYaml(`${FILE}options: { kconfig: [${off}]${more} }\n`, "sweep.yaml", profile),
  );
}

/** Reads every file; a KernelError is an answer, too. @returns the number of files */
function readAll({ vfs }: Machine, roots: readonly string[]): number {
  let files = 0;
  for (const root of roots)
    for (const { path, kind } of vfs.walk(root)) {
      if (kind !== "file") continue;
      files++;
      try {
        run(vfs.read(path));
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
      }
    }
  return files;
}

function runAll(machine: Machine): string {
  const shell = openShell(machine);
  return SCRIPT.map((line) => run(shell.execute(line)).output).join("");
}

test.each([
  ["v4.14", ["/proc"]],
  ["v5.1", ["/proc"]],
  ["v6.1", ["/proc", "/sys"]],
] as const)("on %s every program is called, and files are read, without any one option", (profile, roots) => {
  for (const option of KCONFIG_NAMES) {
    if (!PROFILES[profile].config.has(option)) continue;
    const machine = machineWithout([option], profile);
    expect(runAll(machine), option).not.toMatch(/undefined|NaN|\[object/);
    expect(readAll(machine, roots), option).toBeGreaterThan(30);
  }
});

test.each([
  "",
  ", cgroup_disable: [memory]",
  ", cgroup_disable: [memory, pressure]",
  ", memmap_on_memory: true",
])("without all options at once a machine boots and boots again%s", (more) => {
  for (const profile of PROFILE_NAMES) {
    const machine = machineWithout(KCONFIG_NAMES, profile, more);
    expect(runAll(machine)).not.toMatch(/undefined|NaN|\[object/);
    machine.reboot();
    expect(readAll(machine, ["/proc", "/sys"])).toBeGreaterThan(100);
    expect([...machine.parts.config]).toEqual([]);
  }
});
