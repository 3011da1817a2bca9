import { condResched, KernelError, type Page, run, Scheduler, seededChoice, virtAddr } from "@hetmem/kernel";
import { exitProcess, forkProcess, type Process, readUser, unlockPage, type Vm, VmFlag } from "@hetmem/mm";
import { tryRestoreExclusivePte } from "@hetmem/mm/rmap";
import {
  MmuNotifier,
  type MmuNotifierOps,
  type MmuNotifierRange,
  mmuNotifierRegister,
} from "@hetmem/mmu-notifier";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { EntryKind, entryKind, isDeviceExclusive, Pte } from "@hetmem/page-table";
import { fileAt, mapAt, RW, touchFile } from "@hetmem/test-machines/hand-mapped";
import { BASE, entryOf, pageOf, read, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine, withMmapLock } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { makeDeviceExclusiveRange } from "../src/make-device-exclusive.ts";

const GPU = "the gpu";

/** Gives a device some pages of a process from BASE on. */
function takeForDevice(process: Process, count: number): Page[] {
  const mm = mmOf(process);
  return run(
    withMmapLock(mm, makeDeviceExclusiveRange(mm, virtAddr(BASE), virtAddr(BASE + count * 4096), GPU)),
  );
}

/** The driver has programmed its device. */
function letGo(vm: Vm, pages: readonly Page[]): void {
  for (const page of pages) {
    unlockPage(vm.memmap, page);
    vm.memmap.putPage(page);
  }
}

test("a device has the pages for itself: the cpu's entries are gone, the pages stay resident", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 2);
  write(process, 0, "text");
  const pages = takeForDevice(process, 2);
  expect(pages.map((page) => vm.memmap.test(page, PageFlag.locked))).toEqual([true, true]);
  for (const [i, page] of pages.entries()) {
    const [value, flags] = entryOf(process, i);
    expect([value, entryKind(flags)]).toEqual([page, EntryKind.deviceExclusiveWrite]);
    expect([vm.memmap.mapcount(page), vm.memmap.refcount(page)]).toEqual([0, 2]);
  }
  expect(mmOf(process).rssPages).toBe(2);
});

test("any touch by the cpu takes a page back, with what the device wrote", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 1);
  const [page] = takeForDevice(process, 1);
  if (page === undefined) throw new Error("no page");
  vm.memmap.contents.write(page, 0, new TextEncoder().encode("by device"));
  letGo(vm, [page]);
  expect(read(process, 0, 9)).toBe("by device");
  expect(pageOf(process, 0)).toBe(page);
  expect(entryOf(process, 0)[1] & (Pte.present | Pte.write | Pte.dirty)).toBe(
    Pte.present | Pte.write | Pte.dirty,
  );
  expect([vm.memmap.mapcount(page), vm.memmap.refcount(page)]).toEqual([1, 1]);
});

test("the cpu waits while the driver still programs its device", () => {
  const { kernel, vm, spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 1);
  const pages = takeForDevice(process, 1);
  const scheduler = new Scheduler(kernel, seededChoice(3));
  const order: string[] = [];
  scheduler.spawn(
    "cpu",
    (function* () {
      yield* readUser(process, virtAddr(BASE), new Uint8Array(1));
      order.push("read");
    })(),
  );
  scheduler.spawn(
    "driver",
    (function* () {
      for (let i = 0; i < 20; i++) yield condResched;
      order.push("programmed");
      letGo(vm, pages);
    })(),
  );
  scheduler.runAll(() => {});
  expect(order).toEqual(["programmed", "read"]);
});

test("notifiers hear who takes the range, and that the cpu takes it back for nobody", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 1);
  write(process, 0, "x");
  const heard: (readonly [string, unknown])[] = [];
  const ops: MmuNotifierOps = {
    *invalidateRangeStart(_notifier: unknown, { event, owner }: MmuNotifierRange) {
      heard.push([event, owner]);
      return true;
    },
  };
  run(mmuNotifierRegister(new MmuNotifier(ops, undefined), mmOf(process)));
  letGo(vm, takeForDevice(process, 1));
  read(process, 0, 1);
  expect(heard).toEqual([
    ["exclusive", GPU],
    ["exclusive", undefined],
  ]);
});

test("a page shared since a fork is copied first: the device gets the process's own", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  withMemory(parent, 1);
  write(parent, 0, "family");
  const child = run(forkProcess(parent));
  const shared = pageOf(parent, 0);
  const [page] = takeForDevice(parent, 1);
  expect(page).not.toBe(shared);
  expect(pageOf(child, 0)).toBe(shared);
  letGo(vm, [page as Page]);
  expect(read(parent, 0, 6)).toBe("family");
});

test("pages of files and busy ones are left out", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  withMemory(process, 2);
  write(process, 0, "x");
  vm.memmap.set(pageOf(process, 0), PageFlag.locked);
  const [busy, free] = takeForDevice(process, 2);
  expect([busy, free]).toEqual([NULL_PAGE, pageOf(process, 1)]);
  const file = fileAt(vm, "/data", 7);
  const vma = mapAt(mm, 0x10_0000, 0x10_1000, { file, flags: RW | VmFlag.SHARED });
  file.mapping?.iMmap.insert(vma);
  const page = touchFile(vma, 0x10_0000, { entry: Pte.write | Pte.dirty });
  expect(run(withMmapLock(mm, makeDeviceExclusiveRange(mm, vma.start, vma.end, GPU)))).toEqual([NULL_PAGE]);
  expect(vm.memmap.refcount(page)).toBe(2);
  expect(vm.memmap.test(page, PageFlag.locked)).toBe(false);
});

test("an address that nothing is mapped at is EFAULT", () => {
  const { spawn } = vmMachine();
  expect(() => takeForDevice(spawn(), 1)).toThrow(KernelError);
});

test("a fork gets the entry back at once, unless the driver still holds the page", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const vma = withMemory(process, 1);
  const pages = takeForDevice(process, 1);
  const entry = vma.mm.pageTable.find(vma.start);
  expect(tryRestoreExclusivePte(vma, entry)).toBe(false);
  expect(isDeviceExclusive(entryOf(process, 0)[1])).toBe(true);
  letGo(vm, pages);
  expect(tryRestoreExclusivePte(vma, entry)).toBe(true);
  expect(entryOf(process, 0)[1] & Pte.present).toBe(Pte.present);
});

test("nothing is left when the process ends while a device has its pages", () => {
  const machine = vmMachine();
  const before = machine.freePages();
  const process = machine.spawn();
  withMemory(process, 1);
  letGo(machine.vm, takeForDevice(process, 1));
  run(exitProcess(process));
  expect(machine.freePages()).toBe(before);
});
