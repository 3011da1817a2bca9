// Obligations of a mirror: it drops its entries in time, drops all of them, and retries as often as the range changes. Kernel
// counterpart: Documentation/mm/hmm.rst, "Address space mirroring implementation and API".
import {
  assertInvariants,
  condResched,
  type Page,
  PAGE_SIZE,
  run,
  type Sleeps,
  WaitQueue,
} from "@hetmem/kernel";
import { forkProcess, Madv, mprotect, munmap, Prot, writeUser } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import {
  coverageInvariants,
  invalidateRangeEnd,
  invalidateRangeStart,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { EntryKind, entryKind, isDeviceExclusive, isDevicePrivate, Pte } from "@hetmem/page-table";
import type { Obligation } from "../conformance.ts";
import { demand } from "../violation.ts";
import type { DriverUnderTest } from "./driver.ts";
import { at } from "../machine.ts";
import {
  cpuRead,
  deviceRead,
  deviceWrite,
  firstByte,
  may,
  migrateBack,
  migrateTo,
  must,
  pageAt,
  PAGES,
  request,
  type Trial,
} from "./trial.ts";
import { nothing, race } from "./obligation.ts";

export const invalidatesBeforeItReturns: Obligation<DriverUnderTest> = race({
  name: "invalidates before it returns",
  sentence: "When the invalidation of a range is over, the device reaches nothing of it any more.",
  scenario(trial) {
    run(migrateTo(trial, 0, 2));
    const late = watchLosses(trial);
    return {
      tasks: { device: () => useAll(trial), cpu: () => disturb(trial) },
      afterStep() {
        demand(late.length === 0, late[0] ?? "");
        assertInvariants(trial.machine.vm, coverageInvariants);
      },
      afterwards: nothing,
    };
  },
});

export const holdsNoPage: Obligation<DriverUnderTest> = race({
  name: "holds no page past an invalidation",
  sentence: "A page that is gone from the process is gone from the device: no reference, no cached address.",
  scenario: (trial) => ({
    tasks: { process: () => giveUpPages(trial) },
    afterStep: nothing,
    afterwards: nothing,
  }),
});

export const survivesEveryRetry: Obligation<DriverUnderTest> = race({
  name: "survives every retry",
  sentence:
    "Whenever the range changes between the look at the cpu's tables and the use, all begins again, and ends well.",
  scenario(trial) {
    // The child keeps the pages that the parent replaces: a device with a stale entry reads the old byte there.
    run(forkProcess(trial.process));
    const point = trial.seed % 20;
    const progress = { steps: 0, done: false };
    const reached = new WaitQueue("the device's next step");
    return {
      tasks: {
        *device() {
          try {
            yield* counting(progress, must("a read of the device", readAll(trial)));
          } finally {
            progress.done = true;
          }
        },
        *cpu() {
          yield* reached.waitEvent(() => progress.done || progress.steps >= point);
          yield* must("a write of the cpu", moveSequence(trial));
        },
      },
      afterStep: nothing,
      afterwards: () => run(demandAgreement(trial)),
    };
  },
});

/** Collects a sentence for each page table entry of the process that is cleared while the device still reaches its page. */
function watchLosses({ mm: { pageTable }, mirror }: Trial): string[] {
  const late: string[] = [];
  pageTable.watch((address, level, oldValue, oldFlags, value, flags) => {
    const had = (oldFlags & Pte.present) !== 0 || isDevicePrivate(oldFlags);
    const view = had && level === 0 ? mirror.lookup(address) : undefined;
    if (view === undefined || view.page !== oldValue) return;
    const stays = value === oldValue && ((flags & Pte.present) !== 0 || isDevicePrivate(flags));
    const loses = stays ? view.write && mayWrite(oldFlags) && !mayWrite(flags) : !isDeviceExclusive(flags);
    if (loses)
      late.push(
        `page ${oldValue} at 0x${address.toString(16)} is taken, and the device still ${stays ? "writes to" : "reaches"} it`,
      );
  });
  return late;
}

function mayWrite(flags: number): boolean {
  if ((flags & Pte.present) !== 0) return (flags & Pte.write) !== 0;
  return entryKind(flags) === EntryKind.devicePrivateWrite;
}

/** Every kind of request: read, write, atomic add, migration to the device and back. */
function* useAll(trial: Trial): Sleeps<void> {
  const { random } = trial;
  for (let i = 0; i < 3; i++) {
    const page = random.below(PAGES);
    yield* may(deviceRead(trial, at(random.below(PAGES))));
    yield* may(deviceWrite(trial, at(page), firstByte(page)));
    if (i === 1) yield* may(migrateTo(trial, page, 1));
    yield* may(request(trial, (mirror) => mirror.atomicAdd?.(at(page, 8), 1) ?? idle()));
  }
  yield* may(migrateBack(trial));
}

function* idle(): Sleeps<void> {}

/** One operation that takes pages away, or write access to them; the seed chooses which. */
function* disturb(trial: Trial): Sleeps<void> {
  const { mm, process, random, seed } = trial;
  const page = random.below(PAGES - 1);
  if (seed % 6 === 0) yield* munmap(mm, at(page), 2 * PAGE_SIZE);
  else if (seed % 6 === 1) yield* madvise(mm, at(page), 2 * PAGE_SIZE, Madv.DONTNEED);
  else if (seed % 6 === 2) yield* forkProcess(process);
  else if (seed % 6 === 3) yield* mprotect(mm, at(page), 2 * PAGE_SIZE, Prot.READ);
  else if (seed % 6 === 4) for (let i = 0; i < PAGES; i++) yield* cpuRead(process, at(i));
  else yield* may(trial.driver.evict());
}

/** Unmaps or discards pages that the device has used. */
function* giveUpPages(trial: Trial): Sleeps<void> {
  const { machine, mm, process, seed } = trial;
  const { memmap } = machine.vm;
  const [gone, copied] = [seed % PAGES, (seed + 1) % PAGES];
  for (let i = 0; i < PAGES; i++) yield* must("a read of the device", deviceRead(trial, at(i)));
  yield* must("a write of the device", deviceWrite(trial, at(gone), firstByte(gone)));
  if (seed % 3 === 0) yield* must("a migration", migrateTo(trial, gone, 1));
  const page = pageAt(trial, at(gone));
  if (seed % 2 === 0) yield* munmap(mm, at(gone), PAGE_SIZE);
  else yield* madvise(mm, at(gone), PAGE_SIZE, Madv.DONTNEED);
  const left = page === undefined ? 0 : memmap.refcount(page) - idleCount(trial, page);
  demand(left === 0, `page ${page} is unmapped, and ${left} references on it are left`);
  yield* demandNewPage(trial, copied);
  demand(process.mm === mm, "the process has lost its address space");
}

function idleCount({ machine: { pagemaps } }: Trial, page: Page): number {
  return pagemaps.pagemapOf(page)?.idleCount ?? 0;
}

/** The process writes to a page shared with a child and gets a copy: the device reads and writes the copy, not the child's page. */
function* demandNewPage(trial: Trial, page: number): Sleeps<void> {
  const child = yield* forkProcess(trial.process);
  yield* writeUser(trial.process, at(page), Uint8Array.of(0x55));
  const read = yield* must("a read of the device", deviceRead(trial, at(page)));
  demand(
    read === 0x55,
    `the cpu has written 85 into a new page, and the device reads ${read}: it knows the old one`,
  );
  yield* must("a write of the device", deviceWrite(trial, at(page), 0x66));
  const childs = yield* cpuRead(child, at(page));
  demand(
    childs === firstByte(page),
    `the device has written into a page that is the child's: it reads ${childs}`,
  );
}

function* readAll(trial: Trial): Sleeps<void> {
  for (let i = 0; i < 2; i++) yield* deviceRead(trial, at(i));
}

/** Runs a task, and counts its preemption points. */
function* counting<T>(progress: { steps: number }, body: Sleeps<T>): Sleeps<T> {
  // Ends: with the task.
  for (;;) {
    const step = body.next();
    if (step.done) return step.value;
    progress.steps++;
    yield step.value;
  }
}

/** Invalidations that clear no entry; after the first, writes of the cpu replace pages. */
function* moveSequence({ mm, process, seed }: Trial): Sleeps<void> {
  for (let i = 0; i <= seed % 4; i++) {
    const range = { mm, start: at(0), end: at(PAGES), event: MmuNotifyEvent.Clear };
    yield* invalidateRangeStart(range);
    yield condResched;
    yield* invalidateRangeEnd(range);
    if (i === 0)
      for (let page = 0; page < 2; page++) yield* writeUser(process, at(page), Uint8Array.of(0x70 + page));
  }
}

function* demandAgreement(trial: Trial): Sleeps<void> {
  for (let page = 0; page < 2; page++) {
    const read = yield* must("a read of the device", deviceRead(trial, at(page)));
    const expected = yield* cpuRead(trial.process, at(page));
    demand(
      read === expected,
      `the device reads ${read} at page ${page}, and the cpu ${expected}: an entry has survived a change`,
    );
  }
}
