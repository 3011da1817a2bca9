import { virtAddr } from "@hetmem/kernel";
import { exitProcess, VmFlag } from "@hetmem/mm";
import { busybox, captured } from "@hetmem/test-machines/busybox";
import { fileAt, mapAt, RW } from "@hetmem/test-machines/hand-mapped";
import { mmOf, type VmMachine, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { procPidTable } from "../src/proc-pid.ts";

function mountedOn(machine: VmMachine): Vfs {
  const vfs = new Vfs();
  vfs.mount(procPidTable(machine.vm));
  return vfs;
}

/** Addresses of heap, mmap and stack are random in each run. */
const header = (line: string): string => line.replace(/^\w+-\w+ /, "");

test("the maps of busybox are those that its kernel printed, but for random addresses", () => {
  const machine = vmMachine();
  const { pid } = busybox(machine);
  const lines = machine.run(mountedOn(machine).read(`/proc/${pid}/maps`)).split("\n");
  expect(lines.map(header)).toEqual(captured("maps").split("\n").map(header));
  expect(lines.slice(0, 6)).toEqual(captured("maps").split("\n").slice(0, 6));
});

test("a shared mapping of a file shows its offset, its device in hex and its inode", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const file = fileAt(machine.vm, "/memfd:x\ny (deleted)", 12_345, { major: 259, minor: 17 });
  mapAt(mmOf(process), 0x7f00_0000_0000, 0x7f00_0000_3000, {
    flags: VmFlag.READ | VmFlag.SHARED | VmFlag.MAYSHARE,
    file,
    pgoff: 0x10_0000,
  });
  expect(machine.run(mountedOn(machine).read(`/proc/${process.pid}/maps`)).split("\n")[0]).toBe(
    "7f0000000000-7f0000003000 r--s 100000000 103:11 12345                    /memfd:x\\012y (deleted)",
  );
});

test("a heap keeps its name when it was split, a mapping next to it has none", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  mm.startBrk = virtAddr(0x10_0000);
  mm.brk = virtAddr(0x10_4000);
  mapAt(mm, 0x10_0000, 0x10_2000);
  mapAt(mm, 0x10_2000, 0x10_4000, { flags: RW & ~VmFlag.WRITE });
  mapAt(mm, 0x20_0000, 0x20_1000);
  const names = machine
    .run(mountedOn(machine).read(`/proc/${process.pid}/maps`))
    .split("\n")
    .map((line) => line.slice(72).trim());
  expect(names).toEqual(["[heap]", "[heap]", "", "[vsyscall]", ""]);
});

test("a reader that waits for the mmap lock while the process exits gets nothing", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  mapAt(mmOf(process), 0x10_0000, 0x10_2000);
  const read = mountedOn(machine).read(`/proc/${process.pid}/maps`);
  expect(read.next().done).toBe(false);
  machine.run(exitProcess(process));
  expect(machine.run(read)).toBe("");
});

test("a process that has exited has no directory", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const vfs = mountedOn(machine);
  expect(vfs.exists(`/proc/${process.pid}/maps`)).toBe(true);
  expect(vfs.exists(`/proc/0${process.pid}/maps`)).toBe(false);
  machine.run(exitProcess(process));
  expect(vfs.exists(`/proc/${process.pid}`)).toBe(false);
});
