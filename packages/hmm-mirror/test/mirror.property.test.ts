// Random programs of a process, and what a device sees of it afterwards. HETMEM_RUNS says how many (100 where it is absent).
import { MiB, run } from "@hetmem/kernel";
import { exitProcess, forkProcess, Madv, mprotect, munmap, type Process, Prot, VmFlag } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { HmmPfn, hmmPfnFlags, hmmPfnToMapOrder, hmmPfnToPage, type HmmRange } from "../src/index.ts";
import {
  at,
  look,
  mapPages,
  type MirrorMachine,
  mirrorMachine,
  rangeOf,
  read,
  RW,
  setEntryFlags,
  write,
} from "@hetmem/test-machines/mirror-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 100);
/** Around the border of two tables, and inside what huge pages can map. */
const PAGES = 1536;
const READ: number = HmmPfn.reqFault;

const PROTS = [RW, RW, RW, Prot.READ, Prot.NONE] as const;

const operation = fc.record({
  kind: fc.constantFrom(
    "map",
    "unmap",
    "write",
    "write",
    "write",
    "read",
    "read",
    "fork",
    "mprotect",
    "pageout",
    "hint",
  ),
  // Mostly near a few places, so that operations meet.
  first: fc.oneof(fc.nat(6), fc.integer({ min: 508, max: 516 }), fc.nat(PAGES - 1)),
  count: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constantFrom(512, 600)),
  prot: fc.constantFrom(...PROTS),
});
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

interface Program {
  readonly huge: boolean;
  readonly operations: readonly Operation[];
}

const program: fc.Arbitrary<Program> = fc.record({
  huge: fc.boolean(),
  operations: fc.array(operation, { maxLength: 24 }),
});

function execute({ huge, operations }: Program): { machine: MirrorMachine; process: Process } {
  const machine = mirrorMachine({ transparentHugepage: huge ? "always" : "never" });
  swapSpace(machine.vm).swapon({ path: "/dev/swap", size: MiB });
  const process = machine.spawn();
  mapPages(process, 0, PAGES / 2);
  let byte = 1;
  for (const { kind, first, count: wanted, prot } of operations) {
    const count = Math.min(wanted, PAGES - first);
    const bytes = count * PAGE;
    const mm = mmOf(process);
    if (kind === "map") mapPages(process, first, count, prot);
    if (kind === "unmap") run(munmap(mm, at(first), bytes));
    if (kind === "write" && allows(process, first, VmFlag.WRITE)) write(process, first, byte++ % 256);
    if (kind === "read" && allows(process, first, VmFlag.READ)) read(process, first);
    if (kind === "fork") run(forkProcess(process));
    // A hole in the range is ENOMEM, and so is swap that is full.
    if (kind === "mprotect") outcome(() => run(mprotect(mm, at(first), bytes, prot)));
    if (kind === "pageout") outcome(() => run(madvise(mm, at(first), bytes, Madv.PAGEOUT)));
    if (kind === "hint") hint(process, first);
  }
  return { machine, process };
}

function allows(process: Process, page: number, flag: number): boolean {
  return ((mmOf(process).vmas.at(at(page))?.flags ?? 0) & flag) !== 0;
}

function hint(process: Process, page: number): void {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(at(page));
  if (entry < 0 || !allows(process, page, VmFlag.READ)) return;
  const flags = pageTable.flags(entry);
  if ((flags & (Pte.present | Pte.special)) === Pte.present)
    setEntryFlags(process, page, flags | Pte.protnone);
}

/** [page, flags] that a snapshot must say, found entry by entry. */
function expected(process: Process, page: number): [page: number, flags: number] {
  const { pageTable, vmas, vm } = mmOf(process);
  const vma = vmas.at(at(page));
  if (vma === undefined || (vma.flags & VmFlag.READ) === 0) return [0, HmmPfn.error];
  const small = pageTable.find(at(page));
  const pmd = pageTable.findPmd(at(page));
  const huge = small < 0 && pmd >= 0 && (pageTable.flags(pmd) & Pte.huge) !== 0;
  const entry = huge ? pmd : small;
  const flags = entry < 0 ? 0 : pageTable.flags(entry);
  if ((flags & Pte.present) === 0 || (flags & Pte.protnone) !== 0) return [0, 0];
  const bits = HmmPfn.valid | ((flags & Pte.write) !== 0 ? HmmPfn.write : 0) | (huge ? 9 : 0);
  if ((flags & Pte.special) !== 0) return [vm.zeroPage, bits];
  return [pageTable.value(entry) + (huge ? (at(page) / PAGE) % 512 : 0), bits];
}

function end(machine: MirrorMachine): void {
  for (const process of machine.vm.processes) run(exitProcess(process));
}

test("a snapshot says of each page what the page table has, and changes nothing", () => {
  fc.assert(
    fc.property(program, fc.nat(PAGES - 1), fc.nat(PAGES), (steps, first, length) => {
      const { machine, process } = execute(steps);
      const count = Math.max(1, Math.min(length, PAGES - first));
      const wanted = Array.from({ length: count }, (_, i) => expected(process, first + i));
      const free = machine.freePages();
      const range = rangeOf(process, first, count);
      run(look(mmOf(process), range));
      const said = wanted.map((_, i) => [hmmPfnToPage(range.hmmPfns, i), hmmPfnFlags(range.hmmPfns, i)]);
      expect(said).toEqual(wanted);
      expect(machine.freePages()).toBe(free);
      end(machine);
    }),
    { numRuns: RUNS },
  );
});

/** The byte at the beginning of a page, as a device reads it that has been given the range. */
function deviceReads({ vm }: MirrorMachine, range: HmmRange, index: number): number {
  const into = new Uint8Array(1);
  vm.memmap.contents.read(hmmPfnToPage(range.hmmPfns, index), 0, into);
  return into[0] as number;
}

test("what a device reads through a range that was asked for is what the cpu reads, and what it writes too", () => {
  fc.assert(
    fc.property(program, fc.array(fc.nat(PAGES - 1), { minLength: 1, maxLength: 8 }), (steps, pages) => {
      const { machine, process } = execute(steps);
      for (const page of pages.filter((one) => allows(process, one, VmFlag.READ))) {
        const writes = allows(process, page, VmFlag.WRITE) && page % 2 === 0;
        const range = rangeOf(process, page, 1, { defaultFlags: READ | (writes ? HmmPfn.reqWrite : 0) });
        run(look(mmOf(process), range));
        const flags = hmmPfnFlags(range.hmmPfns, 0);
        expect(flags & READ).toBe(HmmPfn.valid);
        expect(deviceReads(machine, range, 0)).toBe(read(process, page));
        expect([0, 9]).toContain(hmmPfnToMapOrder(range.hmmPfns, 0));
        if (!writes) continue;
        expect(flags & HmmPfn.write).toBe(HmmPfn.write);
        machine.vm.memmap.contents.write(hmmPfnToPage(range.hmmPfns, 0), 0, Uint8Array.of(page % 251));
        expect(read(process, page)).toBe(page % 251);
      }
      end(machine);
    }),
    { numRuns: RUNS },
  );
});
