// The short way and the long way of a migration must come to the same. A listener who does nothing makes the difference:
// where somebody listens, every page takes the long way.
import { assertInvariants, type Page, run } from "@hetmem/kernel";
import { forkProcess, type Process, VmFlag, vmInvariants } from "@hetmem/mm";
import {
  describeFinding,
  MmuNotifier,
  type MmuNotifierOps,
  mmuNotifierRegister,
  setUnheard,
  watchCoverage,
} from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { nodeStat } from "@hetmem/test-machines/counters";
import { RW } from "@hetmem/test-machines/hand-mapped";
import {
  BASE,
  entryOf,
  moveToNode1,
  pageOf,
  setEntryFlags,
  withMemory,
  write,
} from "@hetmem/test-machines/moving";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";

/** Bits of an entry, and flags of its page, that a migration must keep. */
const ENTRIES: readonly number[] = [
  Pte.present | Pte.write | Pte.dirty | Pte.accessed | Pte.softDirty,
  Pte.present | Pte.write | Pte.accessed,
  Pte.present | Pte.accessed,
  Pte.present,
  Pte.present | Pte.dirty,
  Pte.present | Pte.protnone | Pte.write,
];
const STATES: readonly number[] = [
  0,
  PageFlag.referenced,
  PageFlag.active | PageFlag.workingset,
  PageFlag.dirty,
  PageFlag.young,
  PageFlag.idle,
];

/** Moves one page of a family. @returns entries and the struct page afterwards, frames left out */
function moved(entry: number, state: number, forks: number, vmaFlags: number, heard: boolean): unknown {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  const vma = withMemory(parent, 1);
  write(parent, 0, "contents");
  const family: Process[] = [parent];
  for (let i = 0; i < forks; i++) family.push(run(forkProcess(parent)));
  const old = pageOf(parent, 0);
  setEntryFlags(parent, 0, forks > 0 ? entry & ~Pte.write : entry);
  vm.lru.remove(old);
  vm.memmap.set(old, state);
  vm.lru.add(old);
  vma.flags = vmaFlags;
  if (heard) run(mmuNotifierRegister(new MmuNotifier({}, undefined), mmOf(parent)));
  expect(moveToNode1(vm, [old])).toEqual({ migrated: 1, failed: [] });
  const fresh = pageOf(parent, 0);
  assertInvariants(vm, vmInvariants);
  return {
    entries: family.map((process) => [pageOf(process, 0) === fresh, entryOf(process, 0)[1]]),
    node: vm.memmap.nodeOf(fresh),
    flags: vm.memmap.flags(fresh),
    counts: [vm.memmap.refcount(fresh), vm.memmap.mapcount(fresh)],
    place: [vm.memmap.mapping(fresh), vm.memmap.index(fresh), vm.memmap.private(fresh)],
    old: [vm.memmap.refcount(old), vm.memmap.mapcount(old)],
    bytes: vm.memmap.contents.bytes(fresh as Page)?.slice(0, 16),
    stats: (
      ["nr_anon_pages", "nr_mapped", "nr_isolated_anon", "nr_active_anon", "nr_inactive_anon"] as const
    ).map((name) => nodeStat(vm, name)),
    rss: family.map((process) => [...mmOf(process).rss]),
    anonVmas: vm.anonVmas.count,
  };
}

test.each(ENTRIES.map((entry) => [entry.toString(16), entry] as const))(
  "an entry with flags 0x%s ends alike either way",
  (_, entry) => {
    for (const state of STATES)
      for (const forks of [0, 2])
        expect(moved(entry, state, forks, RW, false)).toEqual(moved(entry, state, forks, RW, true));
  },
);

test("a mapping that allows less by now gives less, either way", () => {
  const entry = Pte.present | Pte.write | Pte.dirty;
  for (const flags of [VmFlag.READ, 0])
    expect(moved(entry, 0, 0, flags, false)).toEqual(moved(entry, 0, 0, flags, true));
});

test("who listens hears of each entry before its page moves, and again afterwards", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 2);
  write(process, 1, "x");
  const heard: string[] = [];
  const place = (): string => `node ${vm.memmap.nodeOf(pageOf(process, 1))}`;
  const ops: MmuNotifierOps = {
    *invalidateRangeStart(_notifier, { start, end, event }) {
      heard.push(`${event} [${(start - BASE) / 4096}, ${(end - BASE) / 4096}) at ${place()}`);
      return true;
    },
    *invalidateRangeEnd() {
      heard.push("end");
    },
  };
  run(mmuNotifierRegister(new MmuNotifier(ops, undefined), mmOf(process)));
  moveToNode1(vm, [pageOf(process, 1)]);
  expect(heard).toEqual(["clear [1, 2) at node 0", "end"]);
  expect(place()).toBe("node 1");
});

test("watching the entries doesn't change which way a page takes: it moves in one step where nobody listens", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 1);
  write(process, 0, "x");
  watchCoverage(vm);
  const changes: number[] = [];
  mmOf(process).pageTable.watch((_address, _level, _oldValue, _oldFlags, _value, flags) =>
    changes.push(flags),
  );
  moveToNode1(vm, [pageOf(process, 0)]);
  expect(changes.map((flags) => flags & Pte.present)).toEqual([Pte.present]);
  run(mmuNotifierRegister(new MmuNotifier({}, undefined), mmOf(process)));
  expect(() => setUnheard(mmOf(process), 0, 0, 0)).toThrow(/somebody listens/);
});

test("where coverage is watched, every change of a migration is covered", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  withMemory(parent, 1);
  write(parent, 0, "x");
  const child = run(forkProcess(parent));
  const coverage = watchCoverage(vm);
  moveToNode1(vm, [pageOf(child, 0)]);
  expect(coverage.findings.map(describeFinding)).toEqual([]);
  expect(vm.memmap.nodeOf(pageOf(parent, 0))).toBe(1);
});
