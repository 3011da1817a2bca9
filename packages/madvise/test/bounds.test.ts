// Ranges that begin within 2 MiB, end within a page, have several holes, or cover shared memory.
import { type Page, run } from "@hetmem/kernel";
import { forkProcess, Madv, MapFlag } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { EntryKind, Pte } from "@hetmem/page-table";
import { diskFile, map, write } from "@hetmem/test-machines/files";
import { at, entryFlags, errnoOf, mapPages } from "@hetmem/test-machines/mappings";
import { hugeAt, hugeMachine, PARTS, withHuge } from "@hetmem/test-machines/thp";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { madvise } from "../src/madvise.ts";
import { mincore } from "../src/mincore.ts";

test("MADV_COLD of a range that begins within 2 MiB reaches the pages behind their end", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 2 * PARTS);
  for (const page of [300, PARTS, PARTS + 100]) write(process, at(page), "x");
  run(madvise(mmOf(process), at(300), 400 * PAGE, Madv.COLD));
  for (const page of [300, PARTS, PARTS + 100]) expect(entryFlags(process, at(page)) & Pte.accessed).toBe(0);
});

test("MADV_FREE of a whole huge page that a child maps, too, leaves its contents to both", () => {
  const { vm, spawn } = hugeMachine();
  const process = spawn();
  withHuge(process);
  run(forkProcess(process));
  const head = hugeAt(process, at(0)) as Page;
  run(madvise(mmOf(process), at(0), PARTS * PAGE, Madv.FREE));
  expect(vm.memmap.test(head, PageFlag.swapbacked)).toBe(true);
});

test("the first of several holes is named", () => {
  const process = vmMachine().spawn();
  mapPages(process, 1, 1);
  mapPages(process, 3, 1);
  expect(() => run(madvise(mmOf(process), at(0), 5 * PAGE, Madv.COLD))).toThrow(
    `ENOMEM: nothing is mapped at 0x${at(0).toString(16)};`,
  );
});

test("MADV_REMOVE of a file that is open for reading is EACCES", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const start = map(process, diskFile(vm, 1, false).file, 1, MapFlag.SHARED, 1);
  expect(errnoOf(madvise(mmOf(process), start, PAGE, Madv.REMOVE))).toBe("EACCES");
});

test("mincore tells of a page that a range ends within, and of a bad page that it is there", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 3);
  for (const page of [0, 1]) write(process, at(page), "x");
  expect([...run(mincore(mm, at(0), PAGE + 1))]).toEqual([1, 1]);
  mm.pageTable.set(mm.pageTable.find(at(2)), 7, EntryKind.hwpoison);
  expect([...run(mincore(mm, at(1), 2 * PAGE))]).toEqual([1, 1]);
});
