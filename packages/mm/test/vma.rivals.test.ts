// An address space that is changed in all the ways that keep its contents, while its process writes to it, forks, and
// reclaim takes its pages away. After every step each page is found from its entries and back; in the end each page holds
// what was written last, and nothing is lost.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { exitAll } from "@hetmem/test-machines/exit-all";
import { rivalsPlan, type RivalsReport, runRivals, type Scenario } from "@hetmem/explore";
import {
  assertInvariants,
  condResched,
  KernelBug,
  KernelError,
  MiB,
  Random,
  run,
  type Sleeps,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import { madvise, mincore } from "@hetmem/madvise";
import { MmuNotifier, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { swapSpace } from "@hetmem/reclaim";
import { nodeStat } from "@hetmem/test-machines/counters";
import { RW } from "@hetmem/test-machines/files";
import { at, mapPages } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { vmInvariants } from "../src/invariants.ts";
import { readUser, writeUser } from "../src/process/access.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { Madv, MremapFlag } from "../src/vma/map-flags.ts";
import { mlock, munlock } from "../src/vma/mlock.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { mremap } from "../src/vma/mremap.ts";
import { Prot } from "../src/vma/vm-flags.ts";

/** A third of them for each case: the cases are about one path. */
const PLAN = rivalsPlan(process.env, 3);
const PAGES = 4;
/** First pages of the two places that the memory moves between. */
const PLACES = [0, 510];

/** A process with a few pages, swap, in half of the cases somebody who listens and sleeps, and what each page holds. */
class World {
  readonly machine: VmMachine = vmMachine({ nodes: [8 * MiB] });
  readonly random: Random;
  readonly process: Process;
  readonly free: number;
  readonly written: string[] = Array.from({ length: PAGES }, () => "\0");
  private place = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    swapSpace(this.machine.vm).swapon({ path: "/dev/swap", size: MiB });
    this.free = this.machine.freePages();
    this.process = this.machine.spawn();
    mapPages(this.process, 0, PAGES);
    for (let i = 0; i < PAGES; i++) if (this.random.chance(1, 2)) run(this.writeTo(i, "a"));
    if (this.random.chance(1, 2))
      run(mmuNotifierRegister(new MmuNotifier(SLEEPY, undefined), mmOf(this.process)));
  }

  addressOf(page: number): VirtAddr {
    return at((PLACES[this.place] ?? 0) + page);
  }

  /** What a process may be told, it is told: that its memory has moved, or can't be written now. */
  *writeTo(page: number, letter: string): Sleeps<void> {
    const signal = yield* writeUser(this.process, this.addressOf(page), new TextEncoder().encode(letter));
    if (!signal) this.written[page] = letter;
  }

  /** Some changes in a row to a part or all of the memory. */
  *change(): Sleeps<void> {
    const mm = mmOf(this.process);
    for (let i = 0; i < 3; i++) {
      const first = this.random.below(PAGES);
      const start = this.addressOf(first);
      const length = (1 + this.random.below(PAGES - first)) * PAGE;
      yield* this.random.pick([
        () => mprotect(mm, start, length, this.random.pick([Prot.NONE, Prot.READ, RW])),
        () => mlock(mm, start, length, 1),
        () => munlock(mm, start, length),
        () => this.advise(start, length),
        () => mincore(mm, start, length),
        () => this.moveAll(),
      ])();
    }
    yield* mprotect(mm, this.addressOf(0), PAGES * PAGE, RW);
  }

  /** Advice may not fit: locked memory isn't paged out. */
  *advise(start: VirtAddr, length: number): Sleeps<void> {
    const advice = this.random.pick([Madv.RANDOM, Madv.NORMAL, Madv.COLD, Madv.PAGEOUT]);
    try {
      yield* madvise(mmOf(this.process), start, length, advice);
    } catch (error) {
      if (!(error instanceof KernelError) || error.errno !== "EINVAL") throw error;
    }
  }

  /** mremap() moves one mapping, so that all must be one first. */
  *moveAll(): Sleeps<void> {
    const mm = mmOf(this.process);
    const from = this.addressOf(0);
    const to = at(PLACES[1 - this.place] ?? 0);
    const vma = mm.vmas.at(from);
    if (!vma || vma.end - from !== PAGES * PAGE) return;
    const size = { oldLength: PAGES * PAGE, newLength: PAGES * PAGE };
    const flags = MremapFlag.MAYMOVE | MremapFlag.FIXED;
    yield* mremap(mm, { address: from, ...size, flags, newAddress: to });
    this.place = 1 - this.place;
  }

  scenario(others: Readonly<Record<string, () => Sleeps<unknown>>>): Scenario {
    const { machine } = this;
    return {
      kernel: machine.kernel,
      tasks: { change: () => this.change(), ...others },
      afterStep: () => assertInvariants(machine.vm, vmInvariants),
      afterwards: () => this.finish(),
    };
  }

  private finish(): void {
    const { vm } = this.machine;
    for (let page = 0; page < PAGES; page++) {
      const into = new Uint8Array(1);
      const signal = run(readUser(this.process, virtAddr(this.addressOf(page)), into));
      const found = String.fromCharCode(into[0] ?? 0);
      if (signal || found !== this.written[page])
        throw new KernelBug(`page ${page} holds ${signal?.reason ?? found}, not ${this.written[page]}`);
    }
    // A page that was being written out when its last user went stays in the swap cache, for reclaim to find.
    exitAll(this.machine, this.free, () => nodeStat(vm, "nr_swapcached"));
    if (vm.commit.pages !== 0) throw new KernelBug(`${vm.commit.pages} pages stay promised`);
    if (vm.mlockCounts.size !== 0) throw new KernelBug("pages that nobody has are locked more than once");
  }
}

const SLEEPY = {
  *invalidateRangeStart(): Sleeps<boolean> {
    yield condResched;
    return true;
  },
  *invalidateRangeEnd(): Sleeps<void> {
    yield condResched;
  },
};

function rivals(make: (world: World) => Scenario): RivalsReport {
  return runRivals((seed) => make(new World(seed)), PLAN);
}

test("memory that is changed while its process writes to it holds what was written last", () => {
  const { endings, schedules } = rivals((world) =>
    world.scenario({
      *write() {
        for (let i = 0; i < 6; i++) yield* world.writeTo(world.random.below(PAGES), "bcdefg"[i] ?? "");
      },
    }),
  );
  expect(endings.get("change: done")).toBe(schedules);
});

test("memory that is changed while a child comes, writes and goes is the parent's own", () => {
  const { endings, schedules } = rivals((world) =>
    world.scenario({
      *fork() {
        const child = yield* forkProcess(world.process);
        yield* writeUser(child, world.addressOf(0), new TextEncoder().encode("child"));
        yield* exitProcess(child);
      },
      *write() {
        yield* world.writeTo(1, "x");
      },
    }),
  );
  expect(endings.get("fork: done")).toBe(schedules);
});

test("memory that is changed while it is swapped out and read back is what it was", () => {
  const { endings, schedules } = rivals((world) =>
    world.scenario({
      *reclaim() {
        yield* madvise(mmOf(world.process), world.addressOf(0), PAGES * PAGE, Madv.PAGEOUT);
      },
      *write() {
        yield* world.writeTo(2, "y");
        yield* world.writeTo(3, "z");
      },
    }),
  );
  expect(endings.get("write: done")).toBe(schedules);
});
