// Processes that write and read while reclaim takes their pages, swap comes and goes, children are made and memory is
// unmapped. After every step those of swap hold, after every fourth all of them; every read gives what was written last; nothing is lost in the end.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import {
  assertInvariants,
  condResched,
  KernelBug,
  MiB,
  type Page,
  Random,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  munmap,
  type Process,
  readUser,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { type ShortMachine, shortMachine } from "@hetmem/test-machines/short-machine";
import { mmOf, PAGE, pageAt } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { swapInvariants } from "../src/swap/invariants.ts";
import { swapSpace } from "../src/swap/swap-space.ts";
import { swapoff } from "../src/swap/swapoff.ts";

/** A quarter of them for each case: the cases are about one path. */
const PLAN = rivalsPlan(process.env, 4);
const PAGES = 4;
const SWAP = 20 * PAGE;

/** A process, where its memory is, and what it wrote there. */
class Writer {
  readonly process: Process;
  readonly start: VirtAddr;
  readonly written: number[];

  constructor(process: Process, start: VirtAddr, written: number[]) {
    this.process = process;
    this.start = start;
    this.written = written;
  }

  /** Writes to pages and reads them back, in any order. */
  *work(random: Random, steps: number): Sleeps<void> {
    for (let i = 0; i < steps; i++) {
      const page = random.below(PAGES);
      if (random.chance(1, 2)) {
        const value = random.below(256);
        yield* writeUser(this.process, pageAt(this.start, page), Uint8Array.of(value));
        this.written[page] = value;
      } else {
        yield* this.read(page);
      }
      yield condResched;
    }
  }

  *read(page: number): Sleeps<void> {
    const found = new Uint8Array(1);
    const signal = yield* readUser(this.process, pageAt(this.start, page), found);
    if (signal || found[0] !== this.written[page])
      throw new KernelBug(
        `page ${page} of process ${this.process.pid} reads ${found[0]}, not ${this.written[page]}`,
      );
  }
}

class World {
  readonly machine: ShortMachine = shortMachine({ nodes: [8 * MiB], swap: SWAP });
  readonly before: number = this.machine.freePages();
  readonly random: Random;
  readonly parent: Writer;
  readonly child: Writer;

  constructor(seed: number) {
    const { machine } = this;
    this.random = new Random(seed);
    const process = machine.spawn("parent");
    const start = machine.map(process, PAGES);
    this.parent = new Writer(process, start, [1, 2, 3, 4]);
    for (const [page, value] of this.parent.written.entries())
      machine.run(writeUser(process, pageAt(start, page), Uint8Array.of(value)));
    const child = machine.run(forkProcess(process));
    this.child = new Writer(child, start, [...this.parent.written]);
  }

  scenario(tasks: Scenario["tasks"]): Scenario {
    const { machine } = this;
    const { vm } = machine;
    let steps = 0;
    return {
      kernel: machine.kernel,
      tasks,
      afterStep: () => {
        assertInvariants(vm, swapInvariants);
        // Those look at all page tables several times over.
        if (++steps % 4 === 0) assertInvariants(vm, vmInvariants);
      },
      afterwards: () => {
        assertInvariants(vm, vmInvariants);
        for (const writer of [this.parent, this.child]) {
          if (writer.process.mm) for (let page = 0; page < PAGES; page++) machine.run(writer.read(page));
          machine.run(exitProcess(writer.process));
        }
        expect(vm.swap.freePages).toBe(vm.swap.totalPages);
        expect(machine.freePages()).toBe(this.before);
        expect(vm.anonVmas.count).toBe(0);
      },
    };
  }

  /** Reclaims pages of both processes, whether or not they were used lately. */
  *reclaim(rounds: number): Sleeps<void> {
    const { vm } = this.machine;
    for (let i = 0; i < rounds; i++) {
      const pages = [this.parent, this.child].flatMap((writer) => oldPages(writer));
      yield* vm.reclaim.reclaimPages(
        pages.filter((page) => this.random.chance(2, 3) && vm.lru.isolate(page)),
      );
      yield condResched;
    }
  }

  *swapOffAndOn(): Sleeps<void> {
    const { vm } = this.machine;
    yield* swapoff(vm, "/dev/sdb1");
    yield condResched;
    swapSpace(vm).swapon({ path: "/dev/sdb1", size: SWAP });
  }

  *makeChild(): Sleeps<void> {
    const child = yield* forkProcess(this.parent.process);
    yield* readUser(child, this.parent.start, new Uint8Array(PAGES * PAGE));
    yield* exitProcess(child);
  }
}

/** The pages that a process maps, as if none had been used. */
function oldPages({ process, start }: Writer): Page[] {
  const { mm } = process;
  if (!mm) return [];
  const { pageTable, vm } = mm;
  const pages: Page[] = [];
  for (let i = 0; i < PAGES; i++) {
    const entry = pageTable.find(pageAt(start, i));
    const flags = entry < 0 ? 0 : pageTable.flags(entry);
    if ((flags & (Pte.present | Pte.special)) !== Pte.present) continue;
    pageTable.setFlags(entry, flags & ~Pte.accessed);
    const page = pageTable.value(entry) as Page;
    vm.memmap.clear(page, PageFlag.referenced);
    if (!pages.includes(page)) pages.push(page);
  }
  return pages;
}

test("two processes that share swapped pages write and read beside reclaim", () => {
  runRivals((seed) => {
    const world = new World(seed);
    return world.scenario({
      parent: () => world.parent.work(new Random(seed + 1), 4),
      child: () => world.child.work(new Random(seed + 2), 4),
      reclaim: () => world.reclaim(3),
    });
  }, PLAN);
});

test("a fork meets reclaim and the writes of the parent's child", () => {
  runRivals((seed) => {
    const world = new World(seed);
    return world.scenario({
      fork: () => world.makeChild(),
      child: () => world.child.work(new Random(seed + 2), 4),
      reclaim: () => world.reclaim(3),
    });
  }, PLAN);
});

test("swapoff brings pages back while others are written out, and swap comes again", () => {
  const { endings, schedules } = runRivals((seed) => {
    const world = new World(seed);
    return world.scenario({
      parent: () => world.parent.work(new Random(seed + 1), 4),
      reclaim: () => world.reclaim(3),
      swapoff: () => world.swapOffAndOn(),
    });
  }, PLAN);
  expect(endings.get("swapoff: done")).toBe(schedules);
});

test("a process ends, and another unmaps, while their pages are written out", () => {
  runRivals((seed) => {
    const world = new World(seed);
    const { parent, child } = world;
    return world.scenario({
      exit: () => exitProcess(child.process),
      *unmap() {
        yield* munmap(mmOf(parent.process), parent.start, 2 * PAGE);
        yield* parent.read(3);
        yield* exitProcess(parent.process);
      },
      reclaim: () => world.reclaim(2),
    });
  }, PLAN);
});
