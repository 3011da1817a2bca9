import { run, virtAddr } from "@hetmem/kernel";
import { TASK_SIZE } from "@hetmem/page-table";
import { diskFile, map, read, write } from "@hetmem/test-machines/files";
import { mapAt, touch } from "@hetmem/test-machines/hand-mapped";
import { at, BASE, errnoOf, mapPages } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { madvise } from "../src/madvise.ts";
import { Madv, MapFlag } from "@hetmem/mm";
import { mincore } from "../src/mincore.ts";

test("anonymous memory is there once it was touched, if only for reading", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 4);
  write(process, at(1), "x");
  read(process, at(2), 1);
  expect([...run(mincore(mmOf(process), at(0), 4 * PAGE))]).toEqual([0, 1, 1, 0]);
});

test("a page of a file is there although this process doesn't map it", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 100);
  const one = map(process, file, 100, MapFlag.SHARED);
  run(madvise(mmOf(process), one, 100 * PAGE, Madv.RANDOM));
  read(process, one + 60 * PAGE, 1);
  const two = map(process, file, 100, MapFlag.SHARED);
  const there = run(mincore(mmOf(process), virtAddr(two + 59 * PAGE), 3 * PAGE));
  expect([...there]).toEqual([0, 1, 0]);
});

test("the last page that a process can have may be asked for, and one behind it not", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const last = TASK_SIZE - PAGE;
  touch(mapAt(mm, last, TASK_SIZE), last);
  expect([...run(mincore(mm, virtAddr(last), PAGE))]).toEqual([1]);
  expect(errnoOf(mincore(mm, virtAddr(last), 2 * PAGE))).toBe("ENOMEM");
});

test("requests that make no sense are refused with the kernel's errnos", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  expect(errnoOf(mincore(mmOf(process), virtAddr(BASE + 1), PAGE))).toBe("EINVAL");
  expect(errnoOf(mincore(mmOf(process), at(0), 2 * PAGE))).toBe("ENOMEM");
  expect(errnoOf(mincore(mmOf(process), at(0), 2 ** 48))).toBe("ENOMEM");
});
