// The checker of notifier coverage: what counts as a change that mirrors must hear of, and who must have told them.
import {
  assertInvariants,
  condResched,
  KernelBug,
  type Page,
  run,
  Scheduler,
  type Sleeps,
  virtAddr,
} from "@hetmem/kernel";
import { allocMm, type MmStruct } from "@hetmem/mm";
import { EntryKind, PMD_SIZE, Pte, swapFlags } from "@hetmem/page-table";
import { entryAt } from "@hetmem/test-machines/hand-mapped";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { describe, expect, test } from "vitest";
import {
  coverageInvariants,
  coverageOf,
  describeFinding,
  type NotifierCoverage,
  watchCoverage,
} from "../src/coverage.ts";
import { invalidateRangeEnd, invalidateRangeStart } from "../src/invalidate.ts";
import { type MmuNotifierRange, MmuNotifyEvent } from "../src/range.ts";
import { mmuNotifierRelease } from "../src/register.ts";

const ADDRESS = 0x40_0000;
const RW = Pte.present | Pte.write | Pte.accessed | Pte.dirty;
const RO = Pte.present | Pte.accessed;
/** Pages that nobody looks at. */
const [PAGE, OTHER] = [100 as Page, 101 as Page];

interface Watched {
  readonly machine: VmMachine;
  readonly mm: MmStruct;
  readonly coverage: NotifierCoverage;
  readonly entry: number;
}

function watched(): Watched {
  const machine = vmMachine();
  const mm = mmOf(machine.spawn());
  return { machine, mm, coverage: coverageOf(mm), entry: entryAt(mm, ADDRESS) };
}

const rangeOf = (mm: MmStruct, start: number, end: number): MmuNotifierRange => ({
  mm,
  start: virtAddr(start),
  end: virtAddr(end),
  event: MmuNotifyEvent.Clear,
});

type Entry = readonly [value: number, flags: number];

const EMPTY: Entry = [0, 0];
const MIGRATION: Entry = [PAGE, EntryKind.migrationWrite];
const PRIVATE_WRITE: Entry = [PAGE, EntryKind.devicePrivateWrite];
const PRIVATE_READ: Entry = [PAGE, EntryKind.devicePrivateRead];
const EXCLUSIVE: Entry = [PAGE, EntryKind.deviceExclusiveWrite];
const SWAP: Entry = [5, swapFlags(0)];

/** From, to, and what a mirror loses by it. */
const losses: readonly (readonly [string, Entry, Entry, string])[] = [
  ["a page is unmapped", [PAGE, RW], EMPTY, "page removed"],
  ["a page goes to swap", [PAGE, RW], SWAP, "page removed"],
  ["a page begins to migrate", [PAGE, RW], MIGRATION, "page removed"],
  ["a page moves to a device", [PAGE, RW], PRIVATE_WRITE, "page removed"],
  ["a page becomes a device's alone", [PAGE, RW], EXCLUSIVE, "page removed"],
  ["another page takes its place", [PAGE, RO], [OTHER, RW], "page replaced"],
  ["a page is write-protected", [PAGE, RW], [PAGE, RW & ~Pte.write], "write access removed"],
  [
    "a page is cleaned and stays writable",
    [PAGE, RW],
    [PAGE, RW & ~Pte.dirty],
    "dirty bit lost while writable",
  ],
  ["a page gets a NUMA hint", [PAGE, RW], [PAGE, RW | Pte.protnone], "made inaccessible"],
  ["the zero page is replaced", [0, RO | Pte.special], [PAGE, RW], "page replaced"],
  ["a device's page comes back", PRIVATE_WRITE, [OTHER, RW], "device page removed"],
  ["a device's page is unmapped", PRIVATE_READ, EMPTY, "device page removed"],
  ["a device's page begins to migrate", PRIVATE_WRITE, MIGRATION, "device page removed"],
  ["a device's page is write-protected", PRIVATE_WRITE, PRIVATE_READ, "device page write access removed"],
  ["the cpu takes back what a device had alone", EXCLUSIVE, [PAGE, RW], "exclusive access ended"],
  ["a page is unmapped that a device had alone", EXCLUSIVE, EMPTY, "exclusive access ended"],
  [
    "a page that a device had alone makes room for another",
    EXCLUSIVE,
    [OTHER, EntryKind.deviceExclusiveWrite],
    "exclusive access ended",
  ],
  [
    "a device's page makes room for another",
    PRIVATE_READ,
    [OTHER, EntryKind.devicePrivateRead],
    "device page removed",
  ],
];

const harmless: readonly (readonly [string, Entry, Entry])[] = [
  ["a page is mapped", EMPTY, [PAGE, RW]],
  ["a page comes from swap", SWAP, [PAGE, RW]],
  ["a slot of swap is freed", SWAP, EMPTY],
  ["a page has arrived", MIGRATION, [OTHER, RW]],
  ["a page has arrived on a device", MIGRATION, PRIVATE_WRITE],
  ["a page becomes writable", [PAGE, RO], [PAGE, RW]],
  ["a page is found not to have been used", [PAGE, RW], [PAGE, RW & ~Pte.accessed]],
  ["a read-only page is cleaned", [PAGE, RO | Pte.dirty], [PAGE, RO]],
  ["a NUMA hint has been taken", [PAGE, RW | Pte.protnone], [PAGE, RW]],
  ["a page that nobody could reach is unmapped", [PAGE, RW | Pte.protnone], EMPTY],
  ["a device's page becomes writable", PRIVATE_READ, PRIVATE_WRITE],
];

describe("a change outside of an invalidation is found when", () => {
  test.each(losses)("%s", (_name, from, to, change) => {
    const { mm, coverage, entry } = watched();
    mm.pageTable.set(entry, ...from);
    mm.pageTable.set(entry, ...to);
    expect(coverage.findings.map((finding) => finding.change)).toEqual([change]);
    expect(coverage.findings[0]?.address).toBe(ADDRESS);
  });
});

describe("nothing is found inside of one when", () => {
  test.each(losses)("%s", (_name, from, to) => {
    const { mm, coverage, entry } = watched();
    mm.pageTable.set(entry, ...from);
    const range = rangeOf(mm, ADDRESS, ADDRESS + 4096);
    run(invalidateRangeStart(range));
    mm.pageTable.set(entry, ...to);
    run(invalidateRangeEnd(range));
    expect(coverage.findings).toEqual([]);
  });
});

describe("mirrors need not hear that", () => {
  test.each(harmless)("%s", (_name, from, to) => {
    const { mm, coverage, entry } = watched();
    mm.pageTable.set(entry, ...from);
    mm.pageTable.set(entry, ...to);
    expect(coverage.findings).toEqual([]);
  });
});

describe("an invalidation does not cover", () => {
  test("the page before it, the page behind it, and what happens after its end", () => {
    const { mm, coverage } = watched();
    const range = rangeOf(mm, ADDRESS, ADDRESS + 4096);
    for (const offset of [-4096, 0, 4096]) mm.pageTable.set(entryAt(mm, ADDRESS + offset), PAGE, RW);
    run(invalidateRangeStart(range));
    for (const offset of [-4096, 4096]) mm.pageTable.clear(entryAt(mm, ADDRESS + offset));
    run(invalidateRangeEnd(range));
    mm.pageTable.clear(entryAt(mm, ADDRESS));
    expect(coverage.findings.map(({ address }) => address - ADDRESS)).toEqual([-4096, 4096, 0]);
  });

  test("a huge page that it covers a part of", () => {
    const { mm, coverage } = watched();
    const address = 4 * PMD_SIZE;
    const pmd = mm.pageTable.ensurePmd(virtAddr(address));
    mm.pageTable.set(pmd, PAGE, RW | Pte.huge);
    const range = rangeOf(mm, address, address + PMD_SIZE - 4096);
    run(invalidateRangeStart(range));
    mm.pageTable.clear(pmd);
    run(invalidateRangeEnd(range));
    expect(coverage.findings).toHaveLength(1);
  });

  test("what another task does meanwhile", () => {
    const { machine, mm, coverage, entry } = watched();
    mm.pageTable.set(entry, PAGE, RW);
    // The task that came last runs first.
    const scheduler = new Scheduler(machine.kernel, (ready) => ready - 1);
    scheduler.spawn("careful", careful());
    function* careful(): Sleeps<void> {
      const range = rangeOf(mm, ADDRESS, ADDRESS + 4096);
      yield* invalidateRangeStart(range);
      yield condResched;
      yield condResched;
      yield* invalidateRangeEnd(range);
    }
    scheduler.step();
    scheduler.spawn("careless", careless());
    function* careless(): Sleeps<void> {
      mm.pageTable.clear(entry);
    }
    scheduler.runAll();
    expect(coverage.findings.map(({ task }) => task)).toEqual(["careless"]);
  });

  test("another address space", () => {
    const { machine, mm, coverage, entry } = watched();
    const other = mmOf(machine.spawn());
    mm.pageTable.set(entry, PAGE, RW);
    const range = rangeOf(other, ADDRESS, ADDRESS + 4096);
    run(invalidateRangeStart(range));
    mm.pageTable.clear(entry);
    run(invalidateRangeEnd(range));
    expect(coverage.findings).toHaveLength(1);
  });
});

test("after everybody was released nobody mirrors anything: the end needs no invalidations", () => {
  const { mm, coverage, entry } = watched();
  mm.pageTable.set(entry, PAGE, RW);
  run(mmuNotifierRelease(mm));
  mm.pageTable.clear(entry);
  expect(coverage.findings).toEqual([]);
});

test("a finding says where, what, who, and what was being invalidated", () => {
  const { mm, coverage, entry } = watched();
  mm.pageTable.set(entry, PAGE, RW);
  const range = rangeOf(mm, 0x1000, 0x2000);
  run(invalidateRangeStart(range));
  mm.pageTable.clear(entry);
  run(invalidateRangeEnd(range));
  expect(coverage.findings.map(describeFinding)).toEqual([
    `mm ${mm.id}: page removed at 0x400000 by swapper, and nobody was told (being invalidated: clear of 0x1000-0x2000 in mm ${mm.id} by swapper)`,
  ]);
});

test("a machine's coverage watches the address spaces that are there and those to come, and is an invariant", () => {
  const machine = vmMachine();
  const { vm } = machine;
  const before = mmOf(machine.spawn());
  watchCoverage(vm);
  const after = allocMm(vm, before.node);
  if (!after) throw new Error("the machine is full");
  assertInvariants(vm, coverageInvariants);
  for (const mm of [before, after]) {
    const entry = entryAt(mm, ADDRESS);
    mm.pageTable.set(entry, PAGE, RW);
    mm.pageTable.clear(entry);
  }
  expect(vm.coverage?.findings.map(({ mm }) => mm)).toEqual([before, after]);
  expect(() => assertInvariants(vm, coverageInvariants)).toThrow(KernelBug);
});

test("who watched entries before goes on watching them", () => {
  const machine = vmMachine();
  const mm = mmOf(machine.spawn());
  const seen: number[] = [];
  mm.pageTable.watch((address) => seen.push(address));
  coverageOf(mm);
  const entry = entryAt(mm, ADDRESS);
  mm.pageTable.set(entry, PAGE, RO);
  mm.pageTable.set(entry, PAGE, RW);
  expect(seen).toEqual([ADDRESS]);
});
