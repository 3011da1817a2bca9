// A device that mirrors an address space, as drivers do it: it looks at the cpu's tables without any lock that would hold
// changes off, and fills its own under the protocol of interval notifiers or of a notifier. Rivals change the address
// space, come and go as listeners, and end it. After every step the device may only have what the cpu's tables have.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { condResched, KernelBug, Mutex, Random, run, type Sleeps, virtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import { Pte } from "@hetmem/page-table";
import { entryAt } from "@hetmem/test-machines/hand-mapped";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { coverageOf, describeFinding } from "../src/coverage.ts";
import {
  mmuIntervalNotifierInsert,
  mmuIntervalNotifierRemove,
  mmuIntervalReadBegin,
  mmuIntervalReadRetry,
  mmuIntervalSetSeq,
} from "../src/interval-notifier.ts";
import { invalidateRangeEnd, invalidateRangeStart, invalidateRangeStartNonblock } from "../src/invalidate.ts";
import { type MmuNotifierRange, mmuNotifierRangeBlockable, MmuNotifyEvent } from "../src/range.ts";
import { mmuNotifierRegister, mmuNotifierRelease, mmuNotifierUnregister } from "../src/register.ts";
import { MmuIntervalNotifier, MmuNotifier } from "../src/subscriptions.ts";

/** The cases are about few paths, which share its schedules. */
const PLAN = rivalsPlan(process.env, 2);
const BASE = 0x40_0000;
const PAGES = 8;
const addressOf = (page: number): number => BASE + page * 4096;

class World {
  readonly machine: VmMachine = vmMachine({ nodes: [16 * 1024 * 1024] });
  readonly mm: MmStruct = mmOf(this.machine.spawn());
  readonly coverage = coverageOf(this.mm);
  readonly random: Random;
  readonly mirrors: Mirror[] = [];

  /** Pages of nobody: what an entry says is all that counts here. */
  private nextPage = 1000;

  constructor(seed: number) {
    this.random = new Random(seed);
    for (let page = 0; page < PAGES; page++) this.setFresh(page);
  }

  entry(page: number): number {
    return entryAt(this.mm, addressOf(page));
  }

  set(page: number, value: number): void {
    this.mm.pageTable.set(this.entry(page), value, value === 0 ? 0 : Pte.present | Pte.write);
  }

  setFresh(page: number): void {
    this.set(page, this.nextPage++);
  }

  range(first: number, pages: number): MmuNotifierRange {
    const [start, end] = [virtAddr(addressOf(first)), virtAddr(addressOf(first + pages))];
    return { mm: this.mm, start, end, event: MmuNotifyEvent.Clear };
  }

  /** What a device has must be what the cpu has: all that was told to let go has let go. */
  check(): void {
    for (const mirror of this.mirrors) {
      for (const [page, value] of mirror.table) {
        const real = this.mm.pageTable.value(this.entry(page));
        if (value !== real)
          throw new KernelBug(`${mirror.name} has page ${value} at ${page}, the cpu ${real}`);
      }
    }
    for (const finding of this.coverage.findings) throw new KernelBug(describeFinding(finding));
  }
}

/** A device's own page table, and the lock that guards it. */
class Mirror {
  readonly world: World;
  readonly name: string;
  readonly table: Map<number, number> = new Map();
  readonly lock: Mutex;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.lock = new Mutex(world.machine.kernel.lockdep, name);
    world.mirrors.push(this);
  }

  drop(range: MmuNotifierRange): void {
    for (const page of this.table.keys()) {
      const address = addressOf(page);
      if (address >= range.start && address < range.end) this.table.delete(page);
    }
  }

  /** Takes the device's lock as far as the range allows. */
  *enter(range: MmuNotifierRange): Sleeps<boolean> {
    if (!mmuNotifierRangeBlockable(range)) return this.lock.tryLock();
    yield* this.lock.lock();
    return true;
  }
}

/** @see dmirror_interval_invalidate() and dmirror_range_fault() in lib/test_hmm.c */
function intervalMirror(world: World, name: string): { mirror: Mirror; notifier: MmuIntervalNotifier } {
  const mirror = new Mirror(world, name);
  const notifier = new MmuIntervalNotifier(
    {
      *invalidate(self, range, sequence): Sleeps<boolean> {
        if (!(yield* mirror.enter(range))) return false;
        mmuIntervalSetSeq(self, sequence);
        mirror.drop(range);
        mirror.lock.unlock();
        return true;
      },
    },
    undefined,
  );
  return { mirror, notifier };
}

/** Mirrors a few pages again and again, and gives up where somebody is always in the way. */
function* fill(world: World, mirror: Mirror, notifier: MmuIntervalNotifier, rounds: number): Sleeps<void> {
  for (let round = 0; round < rounds; round++) {
    const first = world.random.below(PAGES - 2);
    for (let attempt = 0; attempt < 4; attempt++) {
      const sequence = yield* mmuIntervalReadBegin(notifier);
      const seen: [number, number][] = [];
      for (let page = first; page < first + 3; page++) {
        seen.push([page, world.mm.pageTable.value(world.entry(page))]);
        yield condResched;
      }
      yield* mirror.lock.lock();
      const retry = mmuIntervalReadRetry(notifier, sequence);
      if (!retry) for (const [page, value] of seen) if (value !== 0) mirror.table.set(page, value);
      mirror.lock.unlock();
      if (!retry) break;
    }
  }
}

/** Inserts, mirrors, and removes. The device stops first: while the removal waits, the interval may be out of the tree already. */
function* driver(world: World, name: string, lives: number): Sleeps<void> {
  for (let life = 0; life < lives; life++) {
    const { mirror, notifier } = intervalMirror(world, `${name} ${life}`);
    yield* mmuIntervalNotifierInsert(notifier, world.mm, virtAddr(BASE), PAGES * 4096);
    yield* fill(world, mirror, notifier, 2);
    mirror.table.clear();
    yield* mmuIntervalNotifierRemove(notifier);
    world.mirrors.splice(world.mirrors.indexOf(mirror), 1);
    yield condResched;
  }
}

/** Unmaps pages and maps others, as MADV_DONTNEED and faults do: under the mmap lock, with invalidations that may nest. */
function* changer(world: World, rounds: number): Sleeps<void> {
  const { mm, random } = world;
  for (let round = 0; round < rounds; round++) {
    yield* mm.mmapLock.downRead();
    const [first, pages] = [random.below(PAGES - 1), 1 + random.below(2)];
    const range = world.range(first, pages);
    const inner = random.chance(1, 3) ? world.range(first, 1) : undefined;
    const told = random.chance(1, 4) ? invalidateRangeStartNonblock(range) : yield* blocking(range);
    if (told) {
      if (inner) yield* invalidateRangeStart(inner);
      for (let page = first; page < first + pages; page++) {
        world.set(page, 0);
        yield condResched;
      }
      if (inner) yield* invalidateRangeEnd(inner);
      yield* invalidateRangeEnd(range);
      for (let page = first; page < first + pages; page++)
        if (mm.pageTable.flags(world.entry(page)) === 0) world.setFresh(page);
    }
    mm.mmapLock.upRead();
  }
}

function* blocking(range: MmuNotifierRange): Sleeps<boolean> {
  yield* invalidateRangeStart(range);
  return true;
}

/**
 * A driver without intervals counts the invalidations that are under way, and maps nothing meanwhile, as KVM does.
 *
 * @see mmu_invalidate_in_progress in virt/kvm/kvm_main.c
 */
function* countingDriver(world: World, name: string, rounds: number): Sleeps<void> {
  const mirror = new Mirror(world, name);
  let [inProgress, sequence] = [0, 0];
  let frozen = false;
  const notifier = new MmuNotifier(
    {
      *invalidateRangeStart(_self: MmuNotifier, range: MmuNotifierRange): Sleeps<boolean> {
        // Atomic: a refusal would need an end that never comes.
        inProgress++;
        mirror.drop(range);
        return true;
      },
      *invalidateRangeEnd(): Sleeps<void> {
        sequence++;
        inProgress--;
      },
      *release(): Sleeps<void> {
        frozen = true;
        mirror.table.clear();
        yield condResched;
      },
    },
    undefined,
  );
  yield* mmuNotifierRegister(notifier, world.mm);
  for (let round = 0; round < rounds; round++) {
    const page = world.random.below(PAGES);
    const before = sequence;
    const value = world.mm.pageTable.value(world.entry(page));
    yield condResched;
    if (inProgress === 0 && sequence === before && value !== 0 && !frozen) mirror.table.set(page, value);
    yield condResched;
  }
  yield* mmuNotifierUnregister(notifier, world.mm);
  if (mirror.table.size > 0) throw new KernelBug(`${name} has pages after it was unregistered`);
}

function scenario(tasks: (world: World) => Scenario["tasks"]): (seed: number) => Scenario {
  return (seed) => {
    const world = new World(seed);
    return {
      kernel: world.machine.kernel,
      tasks: tasks(world),
      afterStep: () => world.check(),
      afterwards: () => {
        const { notifiers } = world.mm;
        if (notifiers?.activeInvalidateRanges !== 0 || notifiers.isInvalidating)
          throw new KernelBug("an invalidation never ended");
        if (notifiers.deferred.length > 0) throw new KernelBug("somebody waits at an empty door");
      },
    };
  };
}

const cases: Readonly<Record<string, (seed: number) => Scenario>> = {
  "a device fills its tables while two tasks change the address space": scenario((world) => {
    const { mirror, notifier } = intervalMirror(world, "device");
    run(mmuIntervalNotifierInsert(notifier, world.mm, virtAddr(BASE), PAGES * 4096));
    return {
      device: () => fill(world, mirror, notifier, 5),
      first: () => changer(world, 3),
      second: () => changer(world, 3),
    };
  }),
  "two drivers come and go while the address space changes": scenario((world) => ({
    first: () => driver(world, "first", 2),
    second: () => driver(world, "second", 2),
    changer: () => changer(world, 4),
    other: () => changer(world, 3),
  })),
  "drivers with and without intervals listen to one address space": scenario((world) => ({
    interval: () => driver(world, "interval", 2),
    counting: () => countingDriver(world, "counting", 6),
    changer: () => changer(world, 4),
  })),
  "the address space ends while drivers come and go": scenario((world) => ({
    counting: () => countingDriver(world, "counting", 6),
    interval: () => driver(world, "interval", 1),
    *exit() {
      for (let i = 0; i < 6; i++) yield condResched;
      yield* mmuNotifierRelease(world.mm);
    },
  })),
};

for (const [name, make] of Object.entries(cases)) {
  test(name, { timeout: 3_600_000 }, () => {
    const report = runRivals(make, PLAN);
    // Nobody fails: who is in the way of another waits, or begins again.
    expect([...report.endings.keys()].filter((ending) => !ending.endsWith(": done"))).toEqual([]);
  });
}

test("the rivals find a device that doesn't ask whether it has to begin again", () => {
  const careless = scenario((world) => {
    const { mirror, notifier } = intervalMirror(world, "device");
    run(mmuIntervalNotifierInsert(notifier, world.mm, virtAddr(BASE), PAGES * 4096));
    return {
      *device() {
        for (let page = 0; page < PAGES; page++) {
          yield* mmuIntervalReadBegin(notifier);
          const value = world.mm.pageTable.value(world.entry(page));
          yield condResched;
          if (value !== 0) mirror.table.set(page, value);
        }
      },
      changer: () => changer(world, 4),
    };
  });
  expect(() => runRivals(careless, { schedules: 300 })).toThrow(/device has page/);
});

test("the rivals find an invalidation that nobody was told of", () => {
  const silent = scenario((world) => ({
    *changer() {
      yield condResched;
      world.set(1, 0);
    },
    driver: () => driver(world, "driver", 1),
  }));
  expect(() => runRivals(silent, { schedules: 10 })).toThrow(/nobody was told/);
});
