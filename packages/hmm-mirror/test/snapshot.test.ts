// A snapshot faults nothing in, so it changes nothing.
import { KernelBug, type Page, run, type VirtAddr } from "@hetmem/kernel";
import { forkProcess, mprotect, munmap, Prot, VmFlag } from "@hetmem/mm";
import { remapPfnRange, vmfInsertMixed } from "@hetmem/mm/vma";
import { Pte } from "@hetmem/page-table";
import { describe, expect, test } from "vitest";
import { allocHmmPfns, HmmPfn, hmmRangeFault } from "../src/index.ts";
import {
  answers,
  answersOf,
  at,
  entryOf,
  look,
  lookOnce,
  mapDevice,
  mapPages,
  mirrorMachine,
  NO_RAM,
  pagesOf,
  rangeOf,
  read,
  setEntryFlags,
  write,
} from "@hetmem/test-machines/mirror-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

test("pages that the process has are valid, and writable where its entries are", () => {
  const machine = mirrorMachine();
  const process = machine.spawn();
  mapPages(process, 0, 4);
  for (const page of [0, 1, 3]) write(process, page, 1);
  run(forkProcess(process));
  write(process, 1, 2);
  const range = rangeOf(process, 0, 4);
  run(look(mmOf(process), range));
  expect(answersOf(range)).toEqual(["r", "rw", "-", "r"]);
  expect(pagesOf(range)).toEqual([0, 1, 2, 3].map((page) => entryOf(process, page)[0]));
});

test("a snapshot touches nothing: no page comes, no entry changes", () => {
  const machine = mirrorMachine();
  const process = machine.spawn();
  mapPages(process, 0, 600);
  write(process, 0, 1);
  const free = machine.freePages();
  expect(answers(process, 0, 600)).toEqual(["rw", ...Array.from({ length: 599 }, () => "-")]);
  expect(machine.freePages()).toBe(free);
});

test("the zero page is a page that may be read", () => {
  const machine = mirrorMachine();
  const process = machine.spawn();
  mapPages(process, 0, 1);
  expect(read(process, 0)).toBe(0);
  const range = rangeOf(process, 0, 1);
  run(look(mmOf(process), range));
  expect(answersOf(range)).toEqual(["r"]);
  expect(pagesOf(range)).toEqual([machine.vm.zeroPage]);
});

test("where nothing is mapped is an error; where nothing has been touched isn't", () => {
  const process = mirrorMachine().spawn();
  mapPages(process, 2, 2);
  mapPages(process, 6, 1);
  write(process, 2, 1);
  expect(answers(process, 0, 8)).toEqual(["error", "error", "rw", "-", "error", "error", "-", "error"]);
});

test("a mapping that can't be read is an error, whatever its entries have", () => {
  const process = mirrorMachine().spawn();
  mapPages(process, 0, 3);
  for (const page of [0, 1, 2]) write(process, page, 1);
  run(mprotect(mmOf(process), at(1), PAGE, Prot.NONE));
  expect(answers(process, 0, 3)).toEqual(["rw", "error", "rw"]);
  run(mprotect(mmOf(process), at(1), PAGE, Prot.READ));
  expect(answers(process, 0, 3)).toEqual(["rw", "r", "rw"]);
});

test("a page with a NUMA hint isn't valid: the fault that it wants has to come", () => {
  const process = mirrorMachine().spawn();
  mapPages(process, 0, 1);
  write(process, 0, 1);
  const had = entryOf(process, 0)[1];
  setEntryFlags(process, 0, had | Pte.protnone);
  expect(answers(process, 0, 1)).toEqual(["-"]);
  setEntryFlags(process, 0, had);
});

test("registers of a device are an error, mapped or not, and so is a frame without a struct page among pages", () => {
  const machine = mirrorMachine();
  const process = machine.spawn();
  mapDevice(process, 0, 2, (vma) => remapPfnRange(vma, vma.start, NO_RAM, 2 * PAGE));
  expect(answers(process, 0, 2)).toEqual(["error", "error"]);
  mapDevice(process, 2, 2, (vma) => {
    vma.flags |= VmFlag.MIXEDMAP;
    vmfInsertMixed(vma, vma.start, NO_RAM, false);
  });
  expect(answers(process, 2, 2)).toEqual(["error", "-"]);
  mapDevice(process, 4, 1, (vma) => {
    vma.flags |= VmFlag.IO;
  });
  expect(answers(process, 4, 1)).toEqual(["error"]);
  run(munmap(mmOf(process), at(0), 5 * PAGE));
});

describe("a range", () => {
  test("that is empty, or begins inside a page, is refused with EINVAL", () => {
    const process = mirrorMachine().spawn();
    const range = rangeOf(process, 0, 2);
    const mm = mmOf(process);
    const refused = (start: number, end: number): string =>
      outcome(() => run(lookOnce(mm, { ...range, start: start as VirtAddr, end: end as VirtAddr })));
    expect(refused(at(1), at(1))).toBe("EINVAL");
    expect(refused(at(1), at(0))).toBe("EINVAL");
    expect(refused(at(0) + 1, at(1))).toBe("EINVAL");
    expect(refused(at(0), at(1) + 1)).toBe("EINVAL");
  });

  test("is looked at with the mmap lock, a notifier that listens and room for the answers, or it is a bug", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 2);
    const range = rangeOf(process, 0, 2);
    const mm = mmOf(process);
    expect(() => run(hmmRangeFault(range))).toThrow(KernelBug);
    expect(() => run(lookOnce(mm, { ...range, hmmPfns: allocHmmPfns(1) }))).toThrow(KernelBug);
    range.notifier.mm = undefined;
    expect(() => run(lookOnce(mm, range))).toThrow(KernelBug);
  });

  test("that has changed since it was begun is busy, and its answers stay as they were", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 2);
    const range = rangeOf(process, 0, 2);
    write(process, 0, 1);
    run(munmap(mmOf(process), at(1), PAGE));
    expect(run(lookOnce(mmOf(process), range))).toBe("busy");
    expect(pagesOf(range)).toEqual([0 as Page, 0 as Page]);
    run(look(mmOf(process), range));
    expect(answersOf(range)).toEqual(["rw", "error"]);
  });

  test("may lie anywhere in what its notifier listens to", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 8);
    for (let page = 0; page < 8; page++) write(process, page, 1);
    const range = { ...rangeOf(process, 0, 8), start: at(3), end: at(5), hmmPfns: allocHmmPfns(2) };
    run(look(mmOf(process), range));
    expect(pagesOf(range)).toEqual([entryOf(process, 3)[0], entryOf(process, 4)[0]]);
    expect(range.hmmPfns[1]).toBe(HmmPfn.valid | HmmPfn.write);
  });
});
