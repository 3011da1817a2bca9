import { type Page, run, virtAddr } from "@hetmem/kernel";
import { MmuNotifier, type MmuNotifierRange, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { diskFile, map, read, readSignal, RW, write } from "@hetmem/test-machines/files";
import { at, BASE, errnoOf, expectSound, layout, mapPages, vmaAt } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { exitProcess } from "../src/process/exit.ts";
import { MapFlag } from "../src/vma/map-flags.ts";
import { munmap } from "../src/vma/munmap.ts";
import type { Vma } from "../src/vma/vma.ts";

test("unmapping the middle divides a mapping, and its pages are free again", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 5);
  for (let i = 0; i < 5; i++) write(process, at(i), `page ${i}`);
  run(munmap(mm, at(1), 2 * PAGE));
  expect(layout(process)).toEqual(["0-1 rw-p", "3-5 rw-p"]);
  expect([mm.rssPages, mm.totalVm, mm.dataVm]).toEqual([3, 3, 3]);
  expect(read(process, at(4), 6)).toBe("page 4");
  expect(readSignal(process, at(2))?.code).toBe("SEGV_MAPERR");
  expectSound(vm);
});

test("the page offsets of what is left are those that the pages have", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const address = map(process, diskFile(vm, 6).file, 6, MapFlag.SHARED);
  run(munmap(mmOf(process), virtAddr(address + PAGE), 2 * PAGE));
  expect([...mmOf(process).vmas].map(({ pgoff }) => pgoff)).toEqual([0, 3]);
  expect(read(process, address + 5 * PAGE, 6)).toBe("page 5");
});

test("a range over several mappings and holes is unmapped as one", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 2);
  mapPages(process, 4, 2, 1);
  mapPages(process, 8, 2);
  run(munmap(mmOf(process), at(1), 8 * PAGE));
  expect(layout(process)).toEqual(["0-1 rw-p", "9-10 rw-p"]);
  expect(mmOf(process).totalVm).toBe(2);
});

test("where nothing is mapped there is nothing to do, and it isn't an error", () => {
  const process = vmMachine().spawn();
  expect(errnoOf(munmap(mmOf(process), at(0), PAGE))).toBe(undefined);
  expect(errnoOf(munmap(mmOf(process), at(0), 0))).toBe("EINVAL");
  expect(errnoOf(munmap(mmOf(process), virtAddr(BASE + 1), PAGE))).toBe("EINVAL");
  expect(errnoOf(munmap(mmOf(process), virtAddr(2 ** 47 - PAGE), 2 * PAGE))).toBe("EINVAL");
});

test("a mapping can't be divided in three when the address space has as many as it may", () => {
  const process = vmMachine({ tunables: { maxMapCount: 2 } }).spawn();
  mapPages(process, 0, 3);
  mapPages(process, 8, 1);
  expect(errnoOf(munmap(mmOf(process), at(1), PAGE))).toBe("ENOMEM");
  run(munmap(mmOf(process), at(1), 2 * PAGE));
  expect(layout(process)).toEqual(["0-1 rw-p", "8-9 rw-p"]);
});

test("a driver hears of each mapping that comes to be, and of each that goes", () => {
  const { spawn } = vmMachine();
  const process = spawn();
  const heard: string[] = [];
  const name = ({ start, end }: Vma): string => `${(start - BASE) / PAGE}-${(end - BASE) / PAGE}`;
  mapPages(process, 0, 3);
  vmaAt(process, 0).ops = {
    open: (vma) => heard.push(`open ${name(vma)}`),
    close: (vma) => heard.push(`close ${name(vma)}`),
  };
  run(munmap(mmOf(process), at(1), PAGE));
  expect(heard).toEqual(["open 1-3", "open 1-2", "close 1-2"]);
});

test("page tables that nobody needs any more are free again", () => {
  const { spawn, freePages } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  const before = freePages();
  mapPages(process, 0, 2048);
  for (let i = 0; i < 2048; i += 512) write(process, at(i), "x");
  expect(mm.pageTable.tables).toBeGreaterThan(5);
  run(munmap(mm, at(0), 2048 * PAGE));
  expect(mm.pageTable.tables).toBe(1);
  expect(freePages()).toBe(before);
});

test("those who mirror the address space hear of the whole range, while the mapping is no longer found", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 4);
  write(process, at(2), "x");
  const heard: unknown[] = [];
  const notifier = new MmuNotifier(
    {
      *invalidateRangeStart(_, { start, end, event }: MmuNotifierRange) {
        heard.push([start, end, event, mm.vmas.at(at(2))]);
        return true;
      },
    },
    undefined,
  );
  run(mmuNotifierRegister(notifier, mm));
  run(munmap(mm, at(1), 3 * PAGE));
  expect(heard).toEqual([[at(1), at(4), "unmap", undefined]]);
});

test("the last mapping of a deleted file takes its pages along", () => {
  const { vm, spawn, freePages } = vmMachine();
  const before = freePages();
  const process = spawn();
  const address = map(process, undefined, 4, MapFlag.SHARED);
  for (let i = 0; i < 4; i++) write(process, address + i * PAGE, "x");
  run(munmap(mmOf(process), address, 2 * PAGE));
  expect(read(process, address + 2 * PAGE, 1)).toBe("x");
  run(munmap(mmOf(process), virtAddr(address + 2 * PAGE), 2 * PAGE));
  run(exitProcess(process));
  expect(freePages()).toBe(before);
  expect(vm.commit.pages).toBe(0);
});

test("private copies of a file's pages go, and the file keeps its own", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 2);
  const address = map(process, file, 2, MapFlag.PRIVATE, RW);
  write(process, address, "mine  ");
  run(munmap(mmOf(process), address, 2 * PAGE));
  const again = map(process, file, 2, MapFlag.PRIVATE);
  expect(read(process, again, 6)).toBe("page 0");
  const found = file.mapping.pages.load(0) as Page;
  expect(vm.memmap.refcount(found)).toBe(2);
  expectSound(vm);
});
