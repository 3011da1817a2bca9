// Whatever is done to huge pages and their parts, by one process or several that share them: each reads what it wrote, the
// counters say what the page tables hold, and nothing is left in the end. HETMEM_RUNS says how many programs.
import { MiB, nodeId, type Page, run, type VirtAddr } from "@hetmem/kernel";
import { collapseHugePage } from "@hetmem/khugepaged";
import {
  MigrateMode,
  migratePages,
  MigrateReason,
  migrationTarget,
  putbackMovablePages,
} from "@hetmem/migrate";
import { PageFlag } from "@hetmem/page";
import { swapSpace } from "@hetmem/reclaim";
import { nodeStat } from "@hetmem/test-machines/counters";
import { read, RW, write } from "@hetmem/test-machines/files";
import { at, errnoOf, mapPages } from "@hetmem/test-machines/mappings";
import { expectAllSound, hugeAt, hugeMachine, PARTS, smallAt } from "@hetmem/test-machines/thp";
import { mmOf, PAGE, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { takeCensus } from "../src/census.ts";
import { deferredSplitScan } from "../src/huge/deferred-split-scan.ts";
import { splitHugePage } from "../src/huge/split-page.ts";
import { splitHugePmd } from "../src/huge/split-pmd.ts";
import { trylockPage, unlockPage } from "../src/page-lock.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { pageAnon } from "../src/rmap/map-counts.ts";
import { madvise } from "@hetmem/madvise";
import { Madv, MremapFlag } from "../src/vma/map-flags.ts";
import { mlock, munlock } from "../src/vma/mlock.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { mremap } from "../src/vma/mremap.ts";
import { Prot } from "../src/vma/vm-flags.ts";

const RUNS = Math.ceil(Number(process.env["HETMEM_RUNS"] ?? 500) / 5);
const PAGES = 2 * PARTS;
/** Where the memory may be, in pages of the region: twice at a boundary of 2 MiB, once beside one. */
const PLACES = [0, 8 * PARTS, 16 * PARTS + 3];
const PROCESSES_MAX = 3;

/** A process, where its memory is, and what each page of that begins with. */
interface Owner {
  readonly process: Process;
  place: number;
  readonly written: Map<number, string>;
}

class World {
  readonly machine: VmMachine = hugeMachine({ nodes: [40 * MiB, 40 * MiB] });
  readonly owners: Owner[] = [];
  readonly free: number = this.machine.freePages();

  constructor() {
    swapSpace(this.machine.vm).swapon({ path: "/dev/swap", size: 16 * MiB });
    const process = this.machine.spawn();
    mapPages(process, 0, PAGES);
    this.owners.push({ process, place: 0, written: new Map() });
  }

  address(owner: Owner, page: number): VirtAddr {
    return at((PLACES[owner.place] ?? 0) + page);
  }

  head(owner: Owner, page: number): Page | undefined {
    const address = this.address(owner, page);
    const found = hugeAt(owner.process, address) ?? smallAt(owner.process, address);
    return found !== undefined && this.machine.vm.memmap.test(found, PageFlag.head | PageFlag.tail)
      ? this.machine.vm.memmap.compoundHead(found)
      : undefined;
  }

  check(): void {
    const { vm } = this.machine;
    expectAllSound(this.machine);
    const { mappers, hugeMappers } = takeCensus(vm);
    expect(nodeStat(vm, "nr_anon_pages")).toBe(
      [...mappers.keys()].filter((page) => pageAnon(vm, page)).length,
    );
    expect(nodeStat(vm, "nr_anon_transparent_hugepages")).toBe(hugeMappers.size * PARTS);
    for (const owner of this.owners) {
      for (const [page, text] of owner.written)
        expect(read(owner.process, this.address(owner, page), text.length)).toBe(text);
    }
  }
}

/** One step of a program: numbers are taken modulo what there is. */
type Step = (world: World, owner: Owner, page: number, count: number) => void;

const STEPS: Readonly<Record<string, Step>> = {
  write(world, owner, page, count) {
    const text = `w${count}`;
    write(owner.process, world.address(owner, page), text);
    owner.written.set(page, text);
  },
  fork({ owners, machine }, owner) {
    if (owners.length === PROCESSES_MAX) return;
    const process = machine.run(forkProcess(owner.process));
    owners.push({ process, place: owner.place, written: new Map(owner.written) });
  },
  exit({ owners }, owner) {
    if (owners.length === 1) return;
    owners.splice(owners.indexOf(owner), 1);
    run(exitProcess(owner.process));
  },
  drop(world, owner, page, count) {
    run(madvise(mmOf(owner.process), world.address(owner, page), count * PAGE, Madv.DONTNEED_LOCKED));
    for (let i = page; i < page + count; i++) if (owner.written.has(i)) owner.written.set(i, "\0");
  },
  pageout(world, owner, page, count) {
    errnoOf(madvise(mmOf(owner.process), world.address(owner, page), count * PAGE, Madv.PAGEOUT));
  },
  protect(world, owner, page, count) {
    const mm = mmOf(owner.process);
    run(mprotect(mm, world.address(owner, page), count * PAGE, count % 2 === 0 ? Prot.NONE : Prot.READ));
    run(mprotect(mm, world.address(owner, 0), PAGES * PAGE, RW));
  },
  lock(world, owner, page, count) {
    const mm = mmOf(owner.process);
    run(mlock(mm, world.address(owner, page), count * PAGE, 1));
    if (count % 2 === 0) run(munlock(mm, world.address(owner, 0), PAGES * PAGE));
  },
  move(world, owner, _page, count) {
    const place = count % PLACES.length;
    const mm = mmOf(owner.process);
    const from = world.address(owner, 0);
    if (place === owner.place || mm.vmas.at(from)?.end !== from + PAGES * PAGE) return;
    const size = { oldLength: PAGES * PAGE, newLength: PAGES * PAGE };
    const flags = MremapFlag.MAYMOVE | MremapFlag.FIXED;
    run(mremap(mm, { address: from, ...size, flags, newAddress: at(PLACES[place] ?? 0) }));
    owner.place = place;
  },
  collapse(world, owner, page, count) {
    const address = world.address(owner, page);
    const start = (address - (address % (PARTS * PAGE))) as VirtAddr;
    run(collapseHugePage(mmOf(owner.process), start, count % 2 === 0 ? "madvise" : "khugepaged"));
  },
  divideEntry(world, owner, page) {
    const address = world.address(owner, page);
    const vma = mmOf(owner.process).vmas.at(address);
    if (vma) run(splitHugePmd(vma, address));
  },
  dividePage(world, owner, page) {
    const { vm } = world.machine;
    const head = world.head(owner, page);
    if (head === undefined) return;
    vm.memmap.getPage(head);
    trylockPage(vm.memmap, head);
    run(splitHugePage(vm, head));
    unlockPage(vm.memmap, head);
    vm.pages.put(head);
  },
  divideWaiting({ machine: { vm } }, _owner, _page, count) {
    run(deferredSplitScan(vm, nodeId(count % 2), 10));
  },
  migrate(world, owner, page, count) {
    const { vm } = world.machine;
    const head = world.head(owner, page);
    if (head === undefined || !vm.lru.isolate(head)) return;
    const target = migrationTarget(vm, { node: nodeId(count % 2), gfp: GFP_HIGHUSER_MOVABLE });
    const { failed } = run(migratePages(vm, [head], target, MigrateMode.Sync, MigrateReason.Syscall));
    putbackMovablePages(
      vm,
      failed.map((failure) => failure.page),
    );
  },
};

const program = fc.array(
  fc.record({
    step: fc.constantFrom(...Object.keys(STEPS)),
    who: fc.nat(PROCESSES_MAX - 1),
    page: fc.constantFrom(0, 1, 200, 511, 512, 513, 700, 1023),
    count: fc.constantFrom(1, 2, 3, 300, 512, 513, 1024),
  }),
  { minLength: 1, maxLength: 25 },
);

test("huge pages lose nothing, whatever is done to them and to their parts", () => {
  fc.assert(
    fc.property(program, (steps) => {
      const world = new World();
      write(world.owners[0]?.process as Process, at(0), "first");
      for (const { step, who, page, count } of steps) {
        const owner = world.owners[who % world.owners.length];
        if (owner) STEPS[step]?.(world, owner, page, Math.min(count, PAGES - page));
        world.check();
      }
      for (const { process } of world.owners) run(exitProcess(process));
      expectAllSound(world.machine);
      expect(world.machine.freePages() + nodeStat(world.machine.vm, "nr_swapcached")).toBe(world.free);
      expect([nodeStat(world.machine.vm, "nr_anon_pages"), [...world.machine.vm.deferredSplits]]).toEqual([
        0,
        [],
      ]);
    }),
    { numRuns: RUNS },
  );
}, 3_600_000);
