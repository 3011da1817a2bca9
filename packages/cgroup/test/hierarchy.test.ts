import { outcome } from "@hetmem/test-machines/outcome";
import { assertInvariants } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { cgroupInvariants } from "../src/index.ts";
import { type CgroupMachine, cgroupMachine } from "./cgroup-machine.ts";

const TOP = "/sys/fs/cgroup";

/** /a and /a/b with memory, process 1 at the root and 2 in /a/b. */
function machineWithTasks(): CgroupMachine {
  const machine = cgroupMachine();
  machine.start(1);
  machine.write("/cgroup.subtree_control", "+memory");
  machine.vfs.mkdir(`${TOP}/a`);
  machine.write("/a/cgroup.subtree_control", "+memory");
  machine.vfs.mkdir(`${TOP}/a/b`);
  machine.start(2);
  machine.write("/a/b/cgroup.procs", "2");
  assertInvariants(machine.hierarchy, cgroupInvariants);
  return machine;
}

test("a new cgroup has the controllers that its parent gives, and gives none itself", () => {
  const { read, vfs, write } = cgroupMachine();
  expect(read("/cgroup.controllers")).toBe("memory io\n");
  write("/cgroup.subtree_control", "+memory");
  vfs.mkdir(`${TOP}/a`);
  expect(read("/a/cgroup.controllers")).toBe("memory\n");
  expect(read("/a/cgroup.subtree_control")).toBe("");
  vfs.mkdir(`${TOP}/a/b`);
  expect(read("/a/b/cgroup.controllers")).toBe("");
  expect(vfs.exists(`${TOP}/a/b/memory.usage`)).toBe(false);
  expect(read("/a/memory.usage")).toBe("a\n");
});

test("the root has no files that would be about it alone", () => {
  const { vfs } = cgroupMachine();
  expect(vfs.list(TOP).map(({ name }) => name)).toEqual([
    "cgroup.controllers",
    "cgroup.max.depth",
    "cgroup.max.descendants",
    "cgroup.procs",
    "cgroup.stat",
    "cgroup.subtree_control",
    "cgroup.threads",
    "io.usage",
    "memory.usage",
  ]);
});

test("a controller that is enabled appears in every child, one that is disabled goes", () => {
  const { memory, read, vfs, write } = cgroupMachine();
  for (const name of ["a", "b"]) vfs.mkdir(`${TOP}/${name}`);
  write("/cgroup.subtree_control", "+memory +io -io");
  expect([read("/a/cgroup.controllers"), read("/b/memory.limit")]).toEqual(["memory\n", "max\n"]);
  write("/b/memory.limit", "12");
  write("/cgroup.subtree_control", "-memory");
  expect(vfs.exists(`${TOP}/b/memory.limit`)).toBe(false);
  write("/cgroup.subtree_control", "+memory");
  expect(read("/b/memory.limit")).toBe("max\n");
  expect(memory.rootCss.state).toBe("online");
});

test("controllers can be enabled beside children that have processes", () => {
  const { memory, tasks, write } = machineWithTasks();
  const task = tasks.get(2);
  write("/a/cgroup.subtree_control", "-memory");
  expect(task && memory.payers.get(task)?.name).toBe("a");
  write("/a/cgroup.subtree_control", "+memory");
  expect(task && memory.payers.get(task)?.name).toBe("b");
});

test("a process is charged to the nearest cgroup that has the controller", () => {
  const { hierarchy, memory, start, vfs, write, at } = cgroupMachine();
  const task = start(1);
  vfs.mkdir(`${TOP}/a`);
  vfs.mkdir(`${TOP}/a/b`);
  write("/a/b/cgroup.procs", "1");
  expect(memory.payers.get(task)).toBe(memory.rootCss);
  write("/cgroup.subtree_control", "+memory");
  expect(memory.payers.get(task)?.name).toBe("a");
  write("/cgroup.subtree_control", "-memory");
  expect(memory.payers.get(task)).toBe(memory.rootCss);
  hierarchy.exit(task);
  expect(memory.payers.has(task)).toBe(false);
  expect(at("/a").populated).toBe(false);
});

test("when one controller can't be enabled none of those asked for is", () => {
  const { io, memory, read, vfs, write } = cgroupMachine();
  for (const name of ["a", "b", "c"]) vfs.mkdir(`${TOP}/${name}`);
  io.room = 2;
  expect(outcome(() => write("/cgroup.subtree_control", "+memory +io"))).toBe("ENOMEM");
  expect(read("/cgroup.subtree_control")).toBe("");
  expect(vfs.exists(`${TOP}/a/memory.usage`)).toBe(false);
  expect(memory.room).toBe(Number.POSITIVE_INFINITY);
  io.room = 3;
  write("/cgroup.subtree_control", "+memory +io");
  expect(read("/c/cgroup.controllers")).toBe("memory io\n");
});

test("a cgroup for which a controller has no memory isn't made", () => {
  const { at, io, vfs, write } = cgroupMachine();
  write("/cgroup.subtree_control", "+memory +io");
  io.room = 0;
  expect(outcome(() => vfs.mkdir(`${TOP}/a`))).toBe("ENOMEM");
  expect(vfs.exists(`${TOP}/a`)).toBe(false);
  expect(at("/").nrDescendants).toBe(0);
  expect(at("/").nrDyingDescendants).toBe(0);
});

test("a child begins where its parent is, and leaves when it ends", () => {
  const { hierarchy, read, start } = machineWithTasks();
  const child = start(3, 2);
  expect(read("/a/b/cgroup.procs")).toBe("2\n3\n");
  hierarchy.exit(child);
  expect(read("/a/b/cgroup.procs")).toBe("2\n");
  expect(read("/a/b/cgroup.threads")).toBe("2\n");
});

test("cgroup.events tells whether there is anybody in the cgroup or below", () => {
  const { read, write } = machineWithTasks();
  expect(read("/a/cgroup.events")).toBe("populated 1\nfrozen 0\n");
  write("/cgroup.procs", "2");
  expect(read("/a/cgroup.events")).toBe("populated 0\nfrozen 0\n");
});

test("0 in cgroup.procs is whoever writes it", () => {
  const { read, write } = machineWithTasks();
  write("/a/b/cgroup.procs", "0");
  expect(read("/a/b/cgroup.procs")).toBe("2\n1\n");
});

test("cgroup.kill kills everybody in the cgroup and below, and nobody else", () => {
  const { killed, start, vfs, write } = machineWithTasks();
  vfs.mkdir(`${TOP}/a/c`);
  start(3);
  write("/a/c/cgroup.procs", "3");
  write("/a/cgroup.kill", "1");
  expect(killed).toEqual([2, 3]);
});

test("a removed cgroup stays among the dying until what it was charged is given back", () => {
  const { memory, read, vfs, write } = machineWithTasks();
  memory.keeps = true;
  write("/cgroup.procs", "2");
  vfs.rmdir(`${TOP}/a/b`);
  vfs.rmdir(`${TOP}/a`);
  expect(read("/cgroup.stat")).toBe("nr_descendants 0\nnr_dying_descendants 2\n");
  const [child, parent] = [...memory.owing.values()];
  parent?.();
  expect(read("/cgroup.stat")).toBe("nr_descendants 0\nnr_dying_descendants 2\n");
  child?.();
  expect(read("/cgroup.stat")).toBe("nr_descendants 0\nnr_dying_descendants 0\n");
});

test("a cgroup can have the name of one that is dying", () => {
  const { memory, read, vfs, write } = cgroupMachine();
  write("/cgroup.subtree_control", "+memory");
  vfs.mkdir(`${TOP}/a`);
  memory.keeps = true;
  vfs.rmdir(`${TOP}/a`);
  vfs.mkdir(`${TOP}/a`);
  expect(read("/cgroup.stat")).toBe("nr_descendants 1\nnr_dying_descendants 1\n");
});

test("/proc tells where a process is and which controllers there are", () => {
  const { vfs } = machineWithTasks();
  expect(vfs.glob("/proc/*")).toEqual(["/proc/1", "/proc/2", "/proc/cgroups"]);
  expect(Array.from(["1", "2"], (pid) => readAll(vfs, `/proc/${pid}/cgroup`))).toEqual([
    "0::/\n",
    "0::/a/b\n",
  ]);
  expect(readAll(vfs, "/proc/cgroups")).toBe(
    "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t3\t1\nio\t0\t3\t1\ncpu\t0\t3\t0\n",
  );
});

function readAll(vfs: CgroupMachine["vfs"], path: string): string {
  const step = vfs.read(path).next();
  return step.done ? step.value : "";
}
