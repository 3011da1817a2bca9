// What can be asked for, for all pages of a range and for single ones, and how it fails.
import { run } from "@hetmem/kernel";
import { forkProcess, Madv, mprotect, munmap, Prot, type Vma, VmFlag } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { remapPfnRange, vmfInsertMixed } from "@hetmem/mm/vma";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { describe, expect, test } from "vitest";
import { HmmPfn } from "../src/index.ts";
import {
  answers,
  answersOf,
  at,
  entryOf,
  look,
  mapDevice,
  mapPages,
  mirrorMachine,
  NO_RAM,
  rangeOf,
  read,
  setEntryFlags,
  write,
} from "@hetmem/test-machines/mirror-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const READ: number = HmmPfn.reqFault;
const WRITE: number = HmmPfn.reqFault | HmmPfn.reqWrite;

describe("asked for everywhere", () => {
  test("to be read, pages come that may be read", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 3);
    write(process, 1, 7);
    expect(answers(process, 0, 3, { defaultFlags: READ })).toEqual(["r", "rw", "r"]);
  });

  test("to be written, pages come that may be written, and those that were shared are copied", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 3);
    write(process, 0, 7);
    expect(read(process, 1)).toBe(0);
    const child = run(forkProcess(process));
    const shared = entryOf(child, 0)[0];
    expect(answers(process, 0, 3, { defaultFlags: WRITE })).toEqual(["rw", "rw", "rw"]);
    expect(entryOf(process, 0)[0]).not.toBe(shared);
    expect([read(process, 0), read(child, 0)]).toEqual([7, 7]);
  });

  test("to be written alone, without a fault, asks for nothing", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 1);
    expect(answers(process, 0, 1, { defaultFlags: HmmPfn.reqWrite })).toEqual(["-"]);
    const options = { defaultFlags: HmmPfn.reqWrite, pfnFlagsMask: READ, requests: { 1: READ } };
    mapPages(process, 1, 2);
    // With a table there, pages are asked for one by one.
    write(process, 2, 1);
    expect(answers(process, 0, 2, options)).toEqual(["-", "rw"]);
  });

  test("pages come back from swap", () => {
    const machine = mirrorMachine();
    swapSpace(machine.vm).swapon({ path: "/dev/swap", size: 1024 * 1024 });
    const process = machine.spawn();
    mapPages(process, 0, 2);
    write(process, 0, 9);
    run(madvise(mmOf(process), at(0), PAGE, Madv.PAGEOUT));
    expect(entryOf(process, 0)[1] & Pte.present).toBe(0);
    expect(answers(process, 0, 2)).toEqual(["-", "-"]);
    expect(answers(process, 0, 2, { defaultFlags: READ })).toEqual(["r", "r"]);
    expect(read(process, 0)).toBe(9);
  });

  test("a page with a NUMA hint gets the fault that it wants", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 1);
    write(process, 0, 1);
    setEntryFlags(process, 0, entryOf(process, 0)[1] | Pte.protnone);
    expect(answers(process, 0, 1, { defaultFlags: READ })).toEqual(["rw"]);
  });
});

describe("asked for by page", () => {
  test("counts as far as the mask lets it through", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 1);
    mapPages(process, 600, 1);
    const requests = { 0: WRITE };
    expect(answers(process, 0, 1, { requests })).toEqual(["-"]);
    expect(answers(process, 0, 1, { requests, pfnFlagsMask: READ })).toEqual(["r"]);
    expect(answers(process, 600, 1, { requests, pfnFlagsMask: WRITE })).toEqual(["rw"]);
  });

  test("adds to what is asked for everywhere", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 2);
    expect(read(process, 0) + read(process, 1)).toBe(0);
    const options = { defaultFlags: READ, pfnFlagsMask: HmmPfn.reqWrite, requests: { 1: HmmPfn.reqWrite } };
    expect(answers(process, 0, 2, options)).toEqual(["r", "rw"]);
  });

  test("brings the pages behind it in the same table too, as the kernel does", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 1200);
    write(process, 0, 1);
    const said = answers(process, 0, 1200, { requests: { 2: READ }, pfnFlagsMask: READ });
    expect(said.slice(0, 4)).toEqual(["rw", "-", "r", "r"]);
    const brought = said.filter((answer) => answer === "r").length;
    expect(brought).toBe(510);
    expect(said.at(-1)).toBe("-");
  });
});

describe("it fails", () => {
  test("with EFAULT where nothing is mapped, where nothing may be read, and where no pages are", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 1);
    mapPages(process, 2, 1, Prot.NONE);
    mapDevice(process, 3, 1, (vma: Vma) => remapPfnRange(vma, vma.start, NO_RAM, PAGE));
    mapDevice(process, 4, 2, (vma: Vma) => {
      vma.flags |= VmFlag.MIXEDMAP;
      vmfInsertMixed(vma, vma.start, NO_RAM, false);
    });
    for (const page of [1, 2, 3, 4, 5])
      expect([page, outcome(() => answers(process, page, 1, { defaultFlags: READ }))]).toEqual([
        page,
        "EFAULT",
      ]);
    run(munmap(mmOf(process), at(0), 6 * PAGE));
  });

  test("only for pages that are asked for", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 1);
    mapPages(process, 2, 1);
    const requests = { 0: READ, 2: READ };
    expect(answers(process, 0, 3, { requests, pfnFlagsMask: READ })).toEqual(["r", "error", "r"]);
  });

  test("with EPERM where the mapping may only be read, and writing is asked for", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 1, Prot.READ);
    expect(outcome(() => answers(process, 0, 1, { defaultFlags: WRITE }))).toBe("EPERM");
    expect(answers(process, 0, 1, { defaultFlags: READ })).toEqual(["r"]);
  });

  test("with EFAULT when memory has run out: the kernel promises ENOMEM and never gives it", () => {
    const machine = mirrorMachine({}, [2 * 1024 * 1024]);
    const process = machine.spawn();
    mapPages(process, 0, 1000);
    expect(outcome(() => answers(process, 0, 1000, { defaultFlags: WRITE }))).toBe("EFAULT");
  });

  test("and answers in front of the failure stand, while those behind are still asked", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 2);
    write(process, 0, 1);
    const requests = { 0: READ, 2: READ, 3: READ };
    const range = rangeOf(process, 0, 4, { requests, pfnFlagsMask: READ });
    expect(outcome(() => run(look(mmOf(process), range)))).toBe("EFAULT");
    expect(answersOf(range).slice(0, 2)).toEqual(["rw", "-"]);
    expect([range.hmmPfns[5], range.hmmPfns[7]]).toEqual([READ, READ]);
  });

  test("where the process is about to lose the right: it is busy first, and fails then", () => {
    const process = mirrorMachine().spawn();
    mapPages(process, 0, 1);
    const range = rangeOf(process, 0, 1, { defaultFlags: WRITE });
    run(mprotect(mmOf(process), at(0), PAGE, Prot.READ));
    expect(outcome(() => run(look(mmOf(process), range)))).toBe("EPERM");
  });
});
