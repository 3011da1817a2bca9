// Cgroups of a machine as one types them: who is where, who pays, the older hierarchy, and a kernel without.
import { assertInvariants, run } from "@hetmem/kernel";
import { cgroupInvariants } from "@hetmem/cgroup";
import { vmInvariants } from "@hetmem/mm";
import { expect, test } from "vitest";
import { createMachine, type Machine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

interface Typed {
  readonly machine: Machine;
  /** Types a line. @returns what it prints */
  sh(line: string): string;
}

function boot(more = ""): Typed {
  const text = `nodes:\n  - memory: 256M\n    cpus: 0-1\nswap:\n  - { path: /dev/vdb, size: 64M }\n${more}`;
  const machine = createMachine(machineOfYaml(text, "cgroups.yaml", "v6.1"));
  const shell = new Shell(machine, PROGRAMS);
  return { machine, sh: (line) => run(shell.execute(line)).output };
}

function bootWithMemory(): Typed {
  const typed = boot();
  typed.sh("cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir a");
  return typed;
}

test("the shell moves itself with $$, and what it starts from then on is where it is", () => {
  const { sh } = bootWithMemory();
  expect(sh("echo $$ > a/cgroup.procs; cat /proc/$$/cgroup /proc/self/cgroup")).toBe("0::/a\n0::/a\n");
  expect(sh("(cat /proc/self/cgroup); echo $(cat /proc/self/cgroup)")).toBe("0::/a\n0::/a\n");
  sh("proc start db");
  expect(sh("cat /proc/$(pidof db)/cgroup; rmdir a")).toBe("0::/a\nrmdir: 'a': Device or resource busy\n");
});

test("all that a program has is charged to the cgroup that it was started in", () => {
  const { machine, sh } = bootWithMemory();
  sh("echo $$ > a/cgroup.procs; proc start db");
  const db = machine.vm.processes.get(Number(sh("pidof db")));
  const stat = run(machine.vfs.read("/sys/fs/cgroup/a/memory.stat"));
  expect(stat).toContain(`\nkernel_stack ${db.kernelStack.length * 4096}\n`);
  expect(stat).toMatch(/^anon [1-9]\d*$/m);
  expect(Number(/^pagetables (\d+)$/m.exec(stat)?.[1])).toBe((db.mm?.pageTable.tables ?? 0) * 4096);
});

test("a process that ends leaves its cgroup, and nothing of it stays charged", () => {
  const { sh } = bootWithMemory();
  sh("echo $$ > a/cgroup.procs; proc start db; echo $$ > cgroup.procs");
  expect(sh("cat a/cgroup.events")).toContain("populated 1\n");
  sh("kill $(pidof db)");
  expect(sh("cat a/cgroup.events")).toContain("populated 0\n");
  expect(sh("rmdir a; cat cgroup.stat")).toBe("nr_descendants 0\nnr_dying_descendants 0\n");
});

test("cgroup.kill ends processes, but neither the shell nor who isn't in the cgroup", () => {
  const { machine, sh } = bootWithMemory();
  sh("proc start stranger; echo $$ > a/cgroup.procs; proc start db; proc fork $(pidof db)");
  expect(sh("echo 1 > a/cgroup.kill; cat a/cgroup.procs | head -1; pidof db; pidof stranger")).toMatch(
    /^1\n\d+\n$/,
  );
  assertInvariants(machine.cgroups.hierarchy, cgroupInvariants);
  assertInvariants(machine.vm, vmInvariants);
});

test("a process that takes more than its cgroup may have is killed there, and nobody else", () => {
  const { sh } = bootWithMemory();
  sh("proc start bystander; proc start hog; echo $(pidof hog) > a/cgroup.procs");
  sh("echo 8M > a/memory.max; echo 0 > a/memory.swap.max; proc mmap $(pidof hog) 64M --populate");
  expect(sh("pidof hog; cat a/memory.events")).toContain("oom_kill 1\n");
  expect(sh("pidof bystander")).toMatch(/^\d+\n$/);
});

test("with cgroup_disable=memory there are cgroups, and nobody is charged", () => {
  const { machine, sh } = boot("options: { cgroup_disable: memory }\n");
  expect(sh("cat /proc/cgroups")).toBe("#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n");
  sh("mkdir /sys/fs/cgroup/a; echo $$ > /sys/fs/cgroup/a/cgroup.procs");
  expect(sh("ls /sys/fs/cgroup/a | grep memory; cat /proc/self/cgroup")).toBe("0::/a\n");
  expect(sh("echo +memory > /sys/fs/cgroup/cgroup.subtree_control")).toContain("Invalid argument");
  expect(machine.vm.charging.lruvec).toBeUndefined();
  expect(sh("dmesg | grep Disabling")).toContain("Disabling memory control group subsystem");
});

test("with cgroup_disable=pressure no waiting is counted", () => {
  const { sh } = boot("options: { cgroup_disable: pressure }\n");
  expect(sh("ls /sys/fs/cgroup | grep memory")).toBe("memory.numa_stat\nmemory.reclaim\nmemory.stat\n");
});

test("cgroup: v1 mounts the older hierarchy in its place", () => {
  const { sh } = boot("cgroup: v1\n");
  sh(
    "cd /sys/fs/cgroup/memory; mkdir a; echo 16M > a/memory.limit_in_bytes; echo $$ > a/tasks; proc start db",
  );
  expect(sh("cat /proc/self/cgroup /proc/$(pidof db)/cgroup")).toBe("1:memory:/a\n1:memory:/a\n");
  expect(sh("cat a/memory.limit_in_bytes; ls /sys/fs/cgroup")).toBe("16777216\nmemory\n");
  sh("proc mmap $(pidof db) 32M --populate");
  expect(Number(sh("cat a/memory.usage_in_bytes"))).toBeLessThanOrEqual(16 << 20);
  expect(Number(sh("cat a/memory.failcnt"))).toBeGreaterThan(0);
});

test.each([
  ["cgroup: v3", '"v3" is not known; write v1 or v2'],
  [
    "options: { cgroup_disable: cpu }",
    '"cpu" is not a list of what cgroups can do without; write memory or pressure',
  ],
])("a machine file with %s says what to write instead", (line, complaint) => {
  expect(() => boot(`${line}\n`)).toThrow(complaint);
});
