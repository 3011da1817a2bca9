import { assertInvariants, KernelError, run, virtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { EntryKind, Pte } from "@hetmem/page-table";
import { fileAt, mapAt, touchFile } from "@hetmem/test-machines/hand-mapped";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { vmInvariants } from "../src/invariants.ts";
import { Rss } from "../src/mm-struct.ts";
import { readUser, writeUser } from "../src/process/access.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { linkVma } from "../src/vma/link.ts";
import { VmFlag } from "../src/vma/vm-flags.ts";
import { Vma } from "../src/vma/vma.ts";

const BASE = virtAddr(0x7f00_0000_0000);
const RW = VmFlag.READ | VmFlag.WRITE | VmFlag.MAYREAD | VmFlag.MAYWRITE;

function withMemory(process: Process, pages: number, flags = RW): Vma {
  if (!process.mm) throw new KernelError("ESRCH", "no mm");
  const vma = new Vma(process.mm, BASE, virtAddr(BASE + pages * 4096), flags, BASE / 4096);
  linkVma(vma);
  return vma;
}

function write(process: Process, offset: number, text: string): void {
  expect(run(writeUser(process, virtAddr(BASE + offset), new TextEncoder().encode(text)))).toBeUndefined();
}

function read(process: Process, offset: number, length: number): string {
  const into = new Uint8Array(length);
  expect(run(readUser(process, virtAddr(BASE + offset), into))).toBeUndefined();
  return new TextDecoder().decode(into);
}

test("a child reads what its parent wrote before the fork", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  withMemory(parent, 16);
  write(parent, 100, "before");
  const child = run(forkProcess(parent));
  expect(read(child, 100, 6)).toBe("before");
  assertInvariants(vm, vmInvariants);
});

test("parent and child no longer see each other's writes after a fork", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  withMemory(parent, 16);
  write(parent, 0, "AAAA");
  const child = run(forkProcess(parent));
  write(child, 0, "BBBB");
  write(parent, 4096, "only parent");
  expect([read(parent, 0, 4), read(child, 0, 4)]).toEqual(["AAAA", "BBBB"]);
  expect(read(child, 4096, 4)).toBe("\0\0\0\0");
  assertInvariants(vm, vmInvariants);
});

test("the last one that maps a page writes to it without a copy", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  const { mm } = withMemory(parent, 1);
  write(parent, 0, "x");
  const page = mm.pageTable.value(mm.pageTable.find(BASE));
  const child = run(forkProcess(parent));
  expect(vm.memmap.test(page as never, PageFlag.anonExclusive)).toBe(false);
  run(exitProcess(child));
  write(parent, 0, "y");
  expect(mm.pageTable.value(mm.pageTable.find(BASE))).toBe(page);
  expect(vm.memmap.test(page as never, PageFlag.anonExclusive)).toBe(true);
});

test("all memory is free again after the last exit", () => {
  const machine = vmMachine();
  const before = machine.freePages();
  const parent = machine.spawn();
  withMemory(parent, 600);
  for (let i = 0; i < 600; i++) write(parent, i * 4096, `page ${i}`);
  const child = run(forkProcess(parent));
  const grandchild = run(forkProcess(child));
  for (let i = 0; i < 300; i++) write(grandchild, i * 4096, "mine");
  expect(child.mm?.rss[Rss.anon]).toBe(600);
  assertInvariants(machine.vm, vmInvariants);
  for (const process of [child, parent, grandchild]) {
    run(exitProcess(process));
    assertInvariants(machine.vm, vmInvariants);
  }
  expect(machine.freePages()).toBe(before);
  expect(machine.vm.anonVmas.count).toBe(0);
});

test("a child gets none of a DONTFORK mapping and zeros of a WIPEONFORK one", () => {
  const { spawn } = vmMachine();
  const parent = spawn();
  withMemory(parent, 1, RW | VmFlag.WIPEONFORK);
  write(parent, 0, "secret");
  const child = run(forkProcess(parent));
  expect(read(child, 0, 6)).toBe("\0\0\0\0\0\0");
  const other = spawn();
  withMemory(other, 1, RW | VmFlag.DONTCOPY);
  const heir = run(forkProcess(other));
  expect(run(readUser(heir, BASE, new Uint8Array(1)))).toMatchObject({
    signo: "SIGSEGV",
    code: "SEGV_MAPERR",
  });
});

test("a write to a read-only mapping is SEGV_ACCERR with the address", () => {
  const { spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 1, VmFlag.READ | VmFlag.MAYREAD);
  const signal = run(writeUser(process, virtAddr(BASE + 8), Uint8Array.of(1)));
  expect(signal).toMatchObject({ signo: "SIGSEGV", code: "SEGV_ACCERR", address: BASE + 8 });
  expect(process.signals).toEqual([signal]);
});

test("untouched memory reads as zeros from the zero page, which counts for nobody", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { mm } = withMemory(process, 4);
  expect(read(process, 5000, 3)).toBe("\0\0\0");
  expect(mm.rssPages).toBe(0);
  write(process, 5000, "now");
  expect([mm.rssPages, read(process, 5000, 3)]).toEqual([1, "now"]);
  assertInvariants(vm, vmInvariants);
});

test("a process that is killed while it forks has no child, whose memory might be gone already", () => {
  const { vm, spawn, freePages } = vmMachine();
  const parent = spawn();
  withMemory(parent, 16);
  write(parent, 0, "parent");
  const before = [freePages(), vm.addressSpaces.size, vm.anonVmas.count];
  parent.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: BASE, reason: "a case" });
  expect(() => run(forkProcess(parent))).toThrow(expect.objectContaining({ errno: "EINTR" }));
  expect([freePages(), vm.addressSpaces.size, vm.anonVmas.count]).toEqual(before);
  expect([...vm.processes]).toEqual([parent]);
  assertInvariants(vm, vmInvariants);
});

test("a page that was lost is lost for a child too, and doesn't read as zeros there", () => {
  const { spawn } = vmMachine();
  const parent = spawn();
  withMemory(parent, 2);
  write(parent, 4096, "gives the mapping an anon_vma");
  const { pageTable } = parent.mm ?? {};
  pageTable?.set(pageTable.find(BASE), 0, EntryKind.swapinError);
  const child = run(forkProcess(parent));
  for (const process of [parent, child])
    expect(run(readUser(process, BASE, new Uint8Array(1)))).toMatchObject({ code: "BUS_ADRERR" });
});

test.each([
  ["at once", false],
  ["one by one, since the parent has had pages pinned", true],
])("a child has not accessed what it gets, and its parent has: entries copied %s", (_how, hasPinned) => {
  const { spawn } = vmMachine();
  const parent = spawn();
  const vma = withMemory(parent, 2);
  write(parent, 0, "a");
  write(parent, 4096, "b");
  vma.mm.hasPinned = hasPinned;
  const child = run(forkProcess(parent));
  const used = Pte.accessed | Pte.dirty;
  for (const page of [0, 1]) {
    expect(entryOf(parent, page) & used).toBe(used);
    // A page that is copied on write is as dirty as it was; only what is shared begins clean.
    expect(entryOf(child, page) & used).toBe(Pte.dirty);
  }
});

test("a child's entries of a shared mapping begin clean: the parent's own say what was written", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  const flags = RW | VmFlag.SHARED | VmFlag.MAYSHARE | VmFlag.MIXEDMAP;
  const vma = mapAt(mmOf(parent), BASE, BASE + 4096, { flags, file: fileAt(vm, "/data", 7) });
  touchFile(vma, BASE, { entry: Pte.accessed | Pte.dirty | Pte.write });
  const child = run(forkProcess(parent));
  const looked = Pte.accessed | Pte.dirty | Pte.write;
  expect([entryOf(parent, 0) & looked, entryOf(child, 0) & looked]).toEqual([looked, Pte.write]);
});

function entryOf({ mm }: Process, page: number): number {
  if (!mm) throw new KernelError("ESRCH", "no mm");
  return mm.pageTable.flags(mm.pageTable.find(virtAddr(BASE + page * 4096)));
}
