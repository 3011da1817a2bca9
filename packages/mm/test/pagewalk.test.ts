import { condResched, KernelBug, KernelError, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { NO_ENTRY, PGDIR_SIZE, PMD_SIZE, Pte, PUD_SIZE } from "@hetmem/page-table";
import { entryAt, mapAt, RW, touch } from "@hetmem/test-machines/hand-mapped";
import { walkPageRange, walkPageRangeSleeping } from "@hetmem/test-machines/locked-calls";
import { mmOf, type VmMachine, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import type { MmStruct } from "../src/mm-struct.ts";
import { type MmWalkOps, WalkAction, walkPageRange as walkUnlocked, walkPageVma } from "../src/pagewalk.ts";
import { VmFlag } from "../src/vma/vm-flags.ts";

const START = 0x7f00_0000_0000;

function emptyMm(machine: VmMachine = vmMachine()): MmStruct {
  return mmOf(machine.spawn());
}

/** Maps 2 MiB at an address, as far as a walk can tell. */
function mapHuge(mm: MmStruct, address: number): number {
  const pmd = mm.pageTable.ensurePmd(virtAddr(address));
  mm.pageTable.set(pmd, 512, Pte.present | Pte.huge);
  return pmd;
}

const hex = (address: number): string => (address - START).toString(16);

/** The calls of a walk, as words: `hole 0-1000`. */
function recorder(): { ops: MmWalkOps; met: string[] } {
  const met: string[] = [];
  const note = (what: string, from: number, to: number): number => {
    met.push(`${what} ${hex(from)}-${hex(to)}`);
    return 0;
  };
  return {
    met,
    ops: {
      pgdEntry: (_entry, address, next) => note("pgd", address, next),
      pudEntry: (_entry, address, next) => note("pud", address, next),
      pmdEntry: (_entry, address, next) => note("pmd", address, next),
      pteRange: (_first, address, next) => note("ptes", address, next),
      pteHole: (address, next, { vma }) => note(vma ? "hole" : "nothing", address, next),
    },
  };
}

test("a walk meets directories from the top down, then entries, and holes between them", () => {
  const mm = emptyMm();
  const vma = mapAt(mm, START + PMD_SIZE, START + 4 * PMD_SIZE);
  touch(vma, START + 2 * PMD_SIZE + 0x3000);
  const { ops, met } = recorder();
  walkPageRange(mm, virtAddr(START), virtAddr(START + 5 * PMD_SIZE), ops);
  expect(met).toEqual([
    "nothing 0-200000",
    "pgd 200000-800000",
    "pud 200000-800000",
    "hole 200000-400000",
    "pmd 400000-600000",
    "ptes 400000-600000",
    "hole 600000-800000",
    "nothing 800000-a00000",
  ]);
});

test("entries are walked only where the range and the mapping overlap", () => {
  const mm = emptyMm();
  const vma = mapAt(mm, START + 0x2000, START + 0x6000);
  const first = touch(vma, START + 0x3000);
  const seen: number[] = [];
  walkPageRange(mm, virtAddr(START + 0x3000), virtAddr(START + 0x9000), {
    pteEntry(entry) {
      seen.push(entry - first);
      return 0;
    },
  });
  expect(seen).toEqual([0, 1, 2]);
});

test("a missing table is one hole, however much it would map", () => {
  const mm = emptyMm();
  const mapped = PGDIR_SIZE + PUD_SIZE;
  const vma = mapAt(mm, START, START + mapped + 2 * PMD_SIZE);
  entryAt(mm, START + mapped);
  const holes: number[] = [];
  walkPageVma(vma, {
    pteHole(address, next) {
      holes.push(next - address);
      return 0;
    },
  });
  expect(holes).toEqual([PGDIR_SIZE, PUD_SIZE, PMD_SIZE]);
});

test("2 MiB that are mapped at once are met by pmdEntry alone, and pteEntry must not be asked of them", () => {
  const mm = emptyMm();
  mapAt(mm, START, START + PMD_SIZE);
  const pmd = mapHuge(mm, START);
  const range = [virtAddr(START), virtAddr(START + PMD_SIZE)] as const;
  const seen: number[] = [];
  const ops: MmWalkOps = {
    pmdEntry(entry) {
      seen.push(entry);
      return 0;
    },
    pteRange: () => 1,
  };
  expect(walkPageRange(mm, ...range, ops)).toBe(0);
  expect(seen).toEqual([pmd]);
  expect(() => walkPageRange(mm, ...range, { pteEntry: () => 0 })).toThrow(KernelBug);
  const skipping: MmWalkOps = {
    pmdEntry(_entry, _address, _next, walk) {
      walk.action = WalkAction.continue;
      return 0;
    },
    pteEntry: () => 1,
  };
  expect(walkPageRange(mm, ...range, skipping)).toBe(0);
});

test("a callback that changed its entry has it looked at again", () => {
  const mm = emptyMm();
  mapAt(mm, START, START + PMD_SIZE);
  mapHuge(mm, START);
  let entries = 0;
  walkPageRange(mm, virtAddr(START), virtAddr(START + 0x3000), {
    pmdEntry(pmd, address, _next, walk) {
      if ((mm.pageTable.flags(pmd) & Pte.huge) === 0) return 0;
      mm.pageTable.clear(pmd);
      mm.pageTable.ensure(address);
      walk.action = WalkAction.again;
      return 0;
    },
    pteEntry() {
      entries++;
      return 0;
    },
  });
  expect(entries).toBe(3);
});

test("the first callback that says anything but 0 ends the walk, which returns it", () => {
  const mm = emptyMm();
  const vma = mapAt(mm, START, START + 0x4000);
  touch(vma, START);
  const seen: VirtAddr[] = [];
  const result = walkPageRange(mm, virtAddr(START), virtAddr(START + 0x4000), {
    pteEntry(_entry, address) {
      seen.push(address);
      return seen.length === 2 ? -22 : 0;
    },
    postVma: () => seen.push(virtAddr(0)),
  });
  expect(result).toBe(-22);
  // What preVma began is ended all the same.
  expect(seen).toEqual([START, START + 0x1000, 0]);
});

test("testWalk leaves mappings out with a positive number and ends the walk with a negative one", () => {
  const mm = emptyMm();
  touch(mapAt(mm, START, START + 0x1000), START);
  touch(mapAt(mm, START + 0x1000, START + 0x2000), START + 0x1000);
  const walk = (answer: number): [number, number] => {
    let entries = 0;
    const result = walkPageRange(mm, virtAddr(START), virtAddr(START + 0x2000), {
      testWalk: (address) => (address === START ? answer : 0),
      pteEntry() {
        entries++;
        return 0;
      },
    });
    return [result, entries];
  };
  expect(walk(0)).toEqual([0, 2]);
  expect(walk(1)).toEqual([0, 1]);
  expect(walk(-5)).toEqual([-5, 0]);
});

test("frames that nobody counts are a hole to who doesn't ask for them", () => {
  const mm = emptyMm();
  const vma = mapAt(mm, START, START + 0x1000, { flags: RW | VmFlag.PFNMAP });
  touch(vma, START);
  const { ops, met } = recorder();
  walkPageVma(vma, ops);
  expect(met).toEqual(["hole 0-1000"]);
  let entries = 0;
  walkPageVma(vma, { testWalk: () => 0, pteEntry: () => (entries++, 0) });
  expect(entries).toBe(1);
});

test("callbacks that sleep may be preempted, and the walk goes on where it was", () => {
  const machine = vmMachine();
  const mm = emptyMm(machine);
  const vma = mapAt(mm, START, START + 2 * PMD_SIZE);
  touch(vma, START);
  touch(vma, START + PMD_SIZE);
  const seen: number[] = [];
  const walk = walkPageRangeSleeping(mm, vma.start, vma.end, {
    *pteRange(first) {
      yield condResched;
      seen.push(first);
      return 0;
    },
  });
  expect(walk.next().value).toBe(condResched);
  expect(seen).toEqual([]);
  expect(machine.run(walk)).toBe(0);
  expect(seen).toEqual([mm.pageTable.find(vma.start), mm.pageTable.find(virtAddr(START + PMD_SIZE))]);
  expect(seen).not.toContain(NO_ENTRY);
});

test("a walk without the mmap lock is a bug: mappings may go away under it", () => {
  const mm = emptyMm();
  expect(() => walkUnlocked(mm, virtAddr(START), virtAddr(START + 0x1000), {})).toThrow(
    `mm ${mm.id} is walked without its mmap lock`,
  );
});

test("there is nothing to walk in an empty range", () => {
  expect(() => walkPageRange(emptyMm(), virtAddr(START), virtAddr(START), {})).toThrow(KernelError);
});

test("a snapshot of 64 MiB costs one callback for 2 MiB", () => {
  const mm = emptyMm();
  const vma = mapAt(mm, START, START + 32 * PMD_SIZE);
  for (let at = START; at < START + 32 * PMD_SIZE; at += PMD_SIZE) touch(vma, at);
  let calls = 0;
  let present = 0;
  walkPageVma(vma, {
    pteRange(first, address, next) {
      calls++;
      const { words } = mm.pageTable;
      const last = first + (next - address) / 4096;
      for (let entry = first; entry < last; entry++) present += (words[(entry << 1) | 1] ?? 0) & Pte.present;
      return 0;
    },
  });
  expect([calls, present]).toEqual([32, 32]);
});
