// What takes a short way where nobody could see the difference ends as the long way does: on random page tables both leave
// the same entries, struct pages and counts. A process that has ever pinned something makes fork look at each page; a
// listener makes each page of a migration take the long way. HETMEM_RUNS says how many tables.
import { assertInvariants, MiB, type Page, run } from "@hetmem/kernel";
import { MmuNotifier, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { nodeStat } from "@hetmem/test-machines/counters";
import { read, RW, write } from "@hetmem/test-machines/files";
import { at, mapPages } from "@hetmem/test-machines/mappings";
import { moveToNode1 } from "@hetmem/test-machines/moving";
import { mmOf, PAGE, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { vmInvariants } from "../src/invariants.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { madvise } from "@hetmem/madvise";
import { Madv } from "../src/vma/map-flags.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { Prot } from "../src/vma/vm-flags.ts";

const RUNS = Math.ceil(Number(process.env["HETMEM_RUNS"] ?? 500) / 10);
const PAGES = 6;
const COUNTED = [
  "nr_anon_pages",
  "nr_active_anon",
  "nr_inactive_anon",
  "nr_isolated_anon",
  "nr_swapcached",
] as const;

/** What happens to one page of the process before its table is copied, or its pages move. */
type Act = "write" | "read" | "swap" | "free" | "cold" | "share" | "forbid";
const act = fc.record({
  what: fc.constantFrom<Act>("write", "read", "swap", "free", "cold", "share", "forbid"),
  page: fc.nat({ max: PAGES - 1 }),
});

/** A process whose page table is the same for the same acts. */
function worldOf(acts: readonly { what: Act; page: number }[]): { machine: VmMachine; process: Process } {
  const machine = vmMachine({ nodes: [8 * MiB, 8 * MiB] });
  swapSpace(machine.vm).swapon({ path: "/dev/swap", size: MiB });
  const process = machine.spawn();
  const mm = mmOf(process);
  mapPages(process, 0, PAGES);
  for (const { what, page } of acts) {
    const advise = (advice: number): void => run(madvise(mm, at(page), PAGE, advice));
    run(mprotect(mm, at(page), PAGE, RW));
    if (what === "write") write(process, at(page), `page ${page}`);
    else if (what === "read") read(process, at(page), 1);
    else if (what === "swap") advise(Madv.PAGEOUT);
    else if (what === "free") advise(Madv.FREE);
    else if (what === "cold") advise(Madv.COLD);
    else if (what === "share") run(forkProcess(process));
    else run(mprotect(mm, at(page), PAGE, Prot.READ));
  }
  return { machine, process };
}

/** Everything that can be told of some processes' pages; a frame is named by where it is found first. */
function stateOf({ vm }: VmMachine, processes: readonly Process[]): unknown {
  const { memmap } = vm;
  const names = new Map<number, number>();
  const entries = processes.map(({ mm }) =>
    Array.from({ length: PAGES }, (_, i) => {
      const entry = mm?.pageTable.find(at(i)) ?? -1;
      if (mm === undefined || entry < 0) return "no table";
      const [value, flags] = [mm.pageTable.value(entry), mm.pageTable.flags(entry)];
      if (!names.has(value)) names.set(value, names.size);
      if ((flags & (Pte.present | Pte.special)) !== Pte.present) return [names.get(value), flags];
      const page = value as Page;
      const counts = [memmap.refcount(page), memmap.mapcount(page), memmap.mapping(page), memmap.index(page)];
      const bytes = memmap.contents.bytes(page)?.slice(0, 8);
      return [names.get(value), flags, memmap.flags(page), memmap.nodeOf(page), counts, bytes];
    }),
  );
  return {
    entries,
    rss: processes.map(({ mm }) => [...(mm?.rss ?? [])]),
    stats: COUNTED.map((name) => nodeStat(vm, name)),
    swap: vm.swap.freePages,
    anonVmas: vm.anonVmas.count,
  };
}

test("a fork that shares runs of entries ends as one that looks at each page", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 20 }), (acts) => {
      const ends = [false, true].map((everPinned) => {
        const { machine, process } = worldOf(acts);
        mmOf(process).hasPinned = everPinned;
        const child = run(forkProcess(process));
        assertInvariants(machine.vm, vmInvariants);
        return stateOf(machine, [process, child]);
      });
      expect(ends[0]).toEqual(ends[1]);
    }),
    { numRuns: RUNS },
  );
});

test("a migration in one step ends as one with migration entries", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 20 }), (acts) => {
      const ends = [false, true].map((heard) => {
        const { machine, process } = worldOf(acts);
        const { vm } = machine;
        const family = [...vm.processes];
        for (const { mm } of heard ? family : [])
          if (mm) run(mmuNotifierRegister(new MmuNotifier({}, undefined), mm));
        const { migrated, failed } = moveToNode1(vm, movable(vm, mmOf(process)));
        assertInvariants(vm, vmInvariants);
        const state = stateOf(machine, family);
        for (const { page } of failed) vm.lru.putback(page);
        for (const member of family) run(exitProcess(member));
        return { migrated, failed: failed.length, state };
      });
      expect(ends[0]).toEqual(ends[1]);
    }),
    { numRuns: RUNS },
  );
});

/** Pages of RAM that the process maps, on their lists. */
function movable({ memmap, zeroPage }: VmMachine["vm"], { pageTable }: ReturnType<typeof mmOf>): Page[] {
  const pages = new Set<Page>();
  for (let i = 0; i < PAGES; i++) {
    const entry = pageTable.find(at(i));
    if (entry < 0 || (pageTable.flags(entry) & (Pte.present | Pte.special)) !== Pte.present) continue;
    const page = pageTable.value(entry) as Page;
    if (page !== zeroPage && memmap.refcount(page) > 0) pages.add(page);
  }
  return [...pages];
}
