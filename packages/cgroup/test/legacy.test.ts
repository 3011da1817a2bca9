// The older hierarchy: one controller, in every cgroup, and processes wherever one likes.
import { outcome } from "@hetmem/test-machines/outcome";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { legacy } from "../src/index.ts";
import { type CgroupMachine, cgroupMachine } from "./cgroup-machine.ts";

const TOP = "/sys/fs/cgroup";

function legacyMachine(): CgroupMachine {
  const machine = cgroupMachine(legacy);
  machine.vfs.mkdir(`${TOP}/a`);
  machine.vfs.mkdir(`${TOP}/a/b`);
  return machine;
}

test("every cgroup has the controller from the first", () => {
  const { vfs } = legacyMachine();
  expect(vfs.list(`${TOP}/a/b`).map(({ name }) => name)).toEqual([
    "cgroup.procs",
    "memory.limit",
    "memory.usage",
    "tasks",
  ]);
});

test("processes may be beside children, and are listed by number", () => {
  const { memory, read, start, write } = legacyMachine();
  for (const pid of [7, 5]) {
    const task = start(pid);
    write(pid === 7 ? "/a/tasks" : "/a/cgroup.procs", `${pid}`);
    expect(memory.payers.get(task)?.name).toBe("a");
  }
  expect(read("/a/tasks")).toBe("5\n7\n");
});

test("a cgroup with processes or cgroups in it can't be removed here either", () => {
  const { start, vfs, write } = legacyMachine();
  start(5);
  write("/a/b/tasks", "5");
  expect(outcome(() => vfs.rmdir(`${TOP}/a/b`))).toBe("EBUSY");
  write("/tasks", "5");
  expect(outcome(() => vfs.rmdir(`${TOP}/a`))).toBe("EBUSY");
  vfs.rmdir(`${TOP}/a/b`);
  vfs.rmdir(`${TOP}/a`);
});

test("/proc/PID/cgroup names the hierarchy's controller", () => {
  const { start, vfs, write } = legacyMachine();
  start(5);
  write("/a/tasks", "5");
  expect(run(vfs.read("/proc/5/cgroup"))).toBe("1:memory:/a\n");
});
