// Lockless pins, preempted where the kernel's races are, beside rivals that take the pages away: unmapping, fork, and
// whoever gets the freed pages next. A page that is pinned stays allocated; and it stays the process's, as long as the
// process doesn't unmap it: what a device writes into it, the process reads.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { condResched, KernelBug, type Page, Random, run, type Sleeps, virtAddr } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  type MmStruct,
  type Process,
  type Vma,
  writeUser,
  zapPageRange,
} from "@hetmem/mm";
import { GUP_PIN_COUNTING_BIAS } from "@hetmem/mm/faultin";
import {
  coverageOf,
  describeFinding,
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { describePage, NULL_PAGE } from "@hetmem/page";
import { BASE, pageOf, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { expect, test } from "vitest";
import { getUserPagesFast, pinUserPagesFast } from "../src/fast.ts";
import { putUserPages, unpinUserPages } from "../src/unpin.ts";

/** The cases are about few paths, which share its schedules. */
const PLAN = rivalsPlan(process.env, 2);
const PAGES = 6;
const at = (index: number) => virtAddr(BASE + index * 4096);

/** A page of the process that somebody has pinned, and how often it had been unmapped by then. */
interface Pin {
  readonly index: number;
  readonly page: Page;
  readonly unmapped: number;
}

class World {
  readonly machine: VmMachine = vmMachine({ nodes: [16 * 2 ** 20] });
  readonly freeBefore: number = this.machine.freePages();
  readonly process: Process = this.machine.spawn();
  readonly mm: MmStruct = mmOf(this.process);
  readonly vma: Vma = withMemory(this.process, PAGES);
  readonly coverage = coverageOf(this.mm);
  readonly random: Random;
  readonly pins: Pin[] = [];
  /** Pages that the allocator has, and nobody else. */
  readonly others: Set<Page> = new Set();
  readonly unmapped: number[] = Array.from({ length: PAGES }, () => 0);

  constructor(seed: number) {
    this.random = new Random(seed);
    for (let index = 0; index < PAGES; index++) write(this.process, index, `page ${index}`);
  }

  check(): void {
    const { memmap } = this.machine.vm;
    for (const { index, page, unmapped } of this.pins) {
      if (memmap.refcount(page) < GUP_PIN_COUNTING_BIAS)
        throw new KernelBug(`pinned, and not counted: ${describePage(memmap, page)}`);
      if (this.unmapped[index] === unmapped && pageOf(this.process, index) !== page)
        throw new KernelBug(`the process has lost its pinned page ${index}: ${describePage(memmap, page)}`);
    }
    for (const finding of this.coverage.findings) throw new KernelBug(describeFinding(finding));
  }

  /** What a walk gave is the process's, or was when it was grabbed, and nobody has got it since. */
  checkOwner(pages: Int32Array, count: number): void {
    for (const page of pages.subarray(0, count))
      if (this.others.has(page as Page)) throw new KernelBug(`frame ${page} is somebody else's`);
  }

  /** Everything ends: no page may be left. */
  checkEnd(): void {
    run(exitProcess(this.process));
    const left = this.freeBefore - this.machine.freePages();
    if (left !== 0) throw new KernelBug(`${left} pages are left behind`);
  }
}

/** Pins, lets others run, and gives back. */
function* pinner(world: World, rounds: number): Sleeps<void> {
  const { vm } = world.machine;
  const into = new Int32Array(3);
  for (let round = 0; round < rounds; round++) {
    const first = world.random.below(PAGES - 2);
    const options = { write: world.random.chance(2, 3) };
    // What is unmapped while the pages are being pinned may be pinned before or after that.
    const before = [...world.unmapped];
    const got = yield* pinUserPagesFast(world.mm, at(first), 3, options, into);
    world.checkOwner(into, got);
    const pins: Pin[] = [];
    for (let i = 0; i < got; i++) {
      const [index, page] = [first + i, into[i] as Page];
      if (page === vm.zeroPage || before[index] !== world.unmapped[index]) continue;
      pins.push({ index, page, unmapped: before[index] as number });
    }
    world.pins.push(...pins);
    for (let i = 0; i < 4; i++) yield condResched;
    for (const pin of pins) world.pins.splice(world.pins.indexOf(pin), 1);
    unpinUserPages(vm, into, got);
  }
}

/** Takes references: what it gets must be somebody's page, whose contents don't matter. */
function* getter(world: World, rounds: number): Sleeps<void> {
  const { vm } = world.machine;
  const into = new Int32Array(PAGES);
  for (let round = 0; round < rounds; round++) {
    const got = yield* getUserPagesFast(world.mm, at(0), PAGES, {}, into);
    world.checkOwner(into, got);
    yield condResched;
    putUserPages(vm, into, got);
  }
}

/** Drops pages as MADV_DONTNEED does. */
function* unmapper(world: World, rounds: number): Sleeps<void> {
  const { mm, random, vma } = world;
  for (let round = 0; round < rounds; round++) {
    const first = random.below(PAGES);
    const count = 1 + random.below(PAGES - first);
    const range: MmuNotifierRange = {
      mm,
      start: at(first),
      end: at(first + count),
      event: MmuNotifyEvent.Clear,
    };
    yield* mm.mmapLock.downRead();
    yield* invalidateRangeStart(range);
    for (let index = first; index < first + count; index++)
      world.unmapped[index] = (world.unmapped[index] ?? 0) + 1;
    yield* zapPageRange(vma, range.start, range.end);
    yield* invalidateRangeEnd(range);
    mm.mmapLock.upRead();
  }
}

/** Writes as the process does: after a fork that breaks copies. */
function* writer(world: World, rounds: number): Sleeps<void> {
  for (let round = 0; round < rounds; round++) {
    yield* writeUser(world.process, at(world.random.below(PAGES)), new Uint8Array([round]));
    yield condResched;
  }
}

function* forker(world: World, rounds: number): Sleeps<void> {
  for (let round = 0; round < rounds; round++) {
    const child = yield* forkProcess(world.process);
    yield condResched;
    yield* writeUser(child, at(world.random.below(PAGES)), new Uint8Array([7]));
    yield* exitProcess(child);
  }
}

/** Gets the pages that others have just freed. */
function* allocator(world: World, rounds: number): Sleeps<void> {
  const { vm } = world.machine;
  for (let round = 0; round < rounds; round++) {
    const page = vm.pages.tryAlloc(GFP_HIGHUSER_MOVABLE, 0, world.mm.node, undefined);
    if (page === NULL_PAGE) throw new KernelBug("the case is too large for its machine");
    world.others.add(page);
    for (let i = 0; i < 3; i++) yield condResched;
    world.others.delete(page);
    vm.memmap.putPage(page);
    yield condResched;
  }
}

function scenario(tasks: (world: World) => Scenario["tasks"]): (seed: number) => Scenario {
  return (seed) => {
    const world = new World(seed);
    return {
      kernel: world.machine.kernel,
      tasks: tasks(world),
      afterStep: () => world.check(),
      afterwards: () => world.checkEnd(),
    };
  };
}

const cases: Readonly<Record<string, (seed: number) => Scenario>> = {
  "pages are unmapped and given to others while they are being pinned": scenario((world) => ({
    pinner: () => pinner(world, 3),
    unmapper: () => unmapper(world, 4),
    allocator: () => allocator(world, 6),
    writer: () => writer(world, 4),
  })),
  "a process forks while its pages are being pinned": scenario((world) => ({
    pinner: () => pinner(world, 3),
    forker: () => forker(world, 2),
    writer: () => writer(world, 5),
  })),
  "references are taken beside pins, forks and unmapping": scenario((world) => ({
    pinner: () => pinner(world, 2),
    getter: () => getter(world, 2),
    forker: () => forker(world, 1),
    unmapper: () => unmapper(world, 2),
  })),
};

for (const [name, make] of Object.entries(cases)) {
  test(name, { timeout: 3_600_000 }, () => {
    const report = runRivals(make, PLAN);
    expect([...report.endings.keys()].filter((ending) => !ending.endsWith(": done"))).toEqual([]);
  });
}
