// Obligations of a driver with memory of its own: pages come back at a touch of the cpu and at an eviction, with their
// contents, whatever fails in between. Kernel counterpart: Documentation/mm/hmm.rst, "Migration to and from device memory".
import { pinUserPagesRemote, unpinUserPages } from "@hetmem/gup";
import { type Page, PAGE_SIZE, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { exitProcess, Madv, type MmStruct, readUser, writeUser } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import type { Obligation } from "../conformance.ts";
import { demand } from "../violation.ts";
import type { DriverUnderTest } from "./driver.ts";
import { at, freePages } from "../machine.ts";
import {
  cpuRead,
  demandBytes,
  deviceRead,
  firstByte,
  framesInUse,
  may,
  migrateBack,
  migrateTo,
  must,
  PAGES,
  pagesInDevice,
  request,
  ROOM,
  type Trial,
} from "./trial.ts";
import { nothing, race } from "./obligation.ts";

/** The fault injection point of the page allocator. */
const FAIL_PAGE_ALLOC = "fail_page_alloc";
/** The page that is a hole when it moves: the last for which the device has room. */
const HOLE = ROOM - 1;

export const givesBackUnderPressure: Obligation<DriverUnderTest> = race({
  name: "gives pages back under pressure",
  sentence: "A page comes back when the cpu touches it and when it is evicted, whatever the device is doing.",
  scenario(trial) {
    run(migrateTo(trial, 0, ROOM));
    return {
      tasks: { device: () => keepBusy(trial), cpu: () => touchAll(trial, 2) },
      afterStep: nothing,
      afterwards: () => run(empty(trial)),
    };
  },
});

export const contentsSurvive: Obligation<DriverUnderTest> = race({
  name: "keeps contents on the round trip",
  sentence: "What was in a page is in it there and back again, to the last byte; and a hole comes as zeros.",
  scenario: (trial) => ({
    tasks: { process: () => roundTrips(trial) },
    afterStep: nothing,
    afterwards: nothing,
  }),
});

export const partialSuccess: Obligation<DriverUnderTest> = race({
  name: "loses nothing when it succeeds in part",
  sentence:
    "A page for which there is no room, or no memory, or which is pinned, stays where it was, as it was.",
  scenario: (trial) => ({
    tasks: { process: () => succeedInPart(trial) },
    afterStep: nothing,
    afterwards: () => run(demandNoLeak(trial)),
  }),
});

/** The device reads and migrates pages again and again. */
function* keepBusy(trial: Trial): Sleeps<void> {
  for (let i = 0; i < PAGES; i++) {
    yield* may(deviceRead(trial, at(trial.random.below(PAGES))));
    if (i % 2 === 0) yield* may(migrateTo(trial, i, 2));
  }
}

function* touchAll(trial: Trial, times: number): Sleeps<void> {
  for (let i = 0; i < times; i++) yield* demandBytes(trial, "at a touch of the cpu");
}

/** Fills and evicts device memory, then evicts while allocations of RAM fail: every touch of the cpu still succeeds. */
function* empty(trial: Trial): Sleeps<void> {
  const { driver, machine, process } = trial;
  yield* must("a migration to a device that is full", migrateTo(trial, 0, PAGES));
  yield* must("an eviction", driver.evict());
  demand(framesInUse(trial) === 0, `${framesInUse(trial)} pages are still in the device after an eviction`);
  yield* demandBytes(trial, "after an eviction");
  yield* must("a migration to the device", migrateTo(trial, 0, ROOM));
  const allocation = machine.kernel.faults.point(FAIL_PAGE_ALLOC);
  allocation.arm({ probability: 100, space: trial.seed % 3 });
  yield* may(driver.evict());
  allocation.disarm();
  for (let i = 0; i < PAGES; i++) {
    const read = yield* cpuRead(process, at(i));
    demand(
      typeof read === "number",
      `a touch of the cpu ends in ${read}, after an eviction that found no memory`,
    );
  }
}

/** Two round trips of two pages and a hole. Every byte is written on both sides. */
function* roundTrips(trial: Trial): Sleeps<void> {
  const { mm, process, random } = trial;
  let last = [random.below(256), random.below(256)];
  for (let trip = 0; trip < 2; trip++) {
    for (const [i, seed] of last.entries()) yield* writeUser(process, at(i), pattern(seed));
    yield* madvise(mm, at(HOLE), PAGE_SIZE, Madv.DONTNEED);
    yield* must("a migration to the device", migrateTo(trial, 0, ROOM));
    const there = pagesInDevice(trial);
    demand(
      there === ROOM,
      `${ROOM} pages that nobody else uses were to move to the device, and ${there} did`,
    );
    for (const [i, seed] of last.entries()) yield* demandInDevice(trial, i, pattern(seed));
    // On the second trip the hole moves to a device page that was used before.
    yield* demandInDevice(trial, HOLE, new Uint8Array(PAGE_SIZE));
    const fresh = [random.below(256), random.below(256), random.below(256)];
    for (const [i, seed] of fresh.entries())
      yield* must(
        "a write of the device",
        request(trial, (mirror) => mirror.write(at(i), pattern(seed))),
      );
    yield* must("a migration back", migrateBack(trial));
    demand(pagesInDevice(trial) === 0, "a migration back leaves pages in the device that nobody else uses");
    for (const [i, seed] of fresh.entries()) {
      const bytes = new Uint8Array(PAGE_SIZE);
      const signal = yield* readUser(process, at(i), bytes);
      demand(signal === undefined, `a page that came back can't be read: ${signal?.reason}`);
      demandSame(bytes, pattern(seed), `page ${i}, back in RAM,`);
    }
    last = fresh.slice(0, HOLE);
  }
}

function* demandInDevice(trial: Trial, page: number, expected: Uint8Array): Sleeps<void> {
  const bytes = new Uint8Array(PAGE_SIZE);
  yield* must(
    "a read of the device",
    request(trial, (mirror) => mirror.read(at(page), bytes)),
  );
  demandSame(bytes, expected, `page ${page}, in the device,`);
}

function demandSame(bytes: Uint8Array, expected: Uint8Array, what: string): void {
  const wrong = bytes.findIndex((byte, i) => byte !== expected[i]);
  demand(wrong < 0, `${what} has ${bytes[wrong]} at byte ${wrong}, and ${expected[wrong]} was written`);
}

/** The contents of a whole page, different for each seed. */
function pattern(seed: number): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE);
  for (let i = 0; i < PAGE_SIZE; i++) bytes[i] = seed + i * 7 + (i >> 8);
  return bytes;
}

/** Migrates more pages than the device has room for, at times with one pinned, and back while allocations of RAM fail. */
function* succeedInPart(trial: Trial): Sleeps<void> {
  const { machine, mm, random, seed } = trial;
  const pinned = seed % 3 === 0 ? yield* pinOne(mm, at(random.below(PAGES))) : [];
  yield* must("a migration of more than there is room for", migrateTo(trial, 0, PAGES));
  const [there, used] = [pagesInDevice(trial), framesInUse(trial)];
  demand(there === used, `${there} pages have moved to the device, and it has given out ${used}`);
  for (let i = 0; i < PAGES; i++) {
    const read = yield* must("a read of the device", deviceRead(trial, at(i)));
    demand(
      read === firstByte(i),
      `after a migration that moved ${there} of ${PAGES} pages, page ${i} has ${read}`,
    );
  }
  const allocation = machine.kernel.faults.point(FAIL_PAGE_ALLOC);
  allocation.arm({ probability: 100, space: seed % ROOM });
  yield* may(migrateBack(trial));
  allocation.disarm();
  unpinUserPages(machine.vm, pinned);
  yield* must("a migration back", migrateBack(trial));
  demand(pagesInDevice(trial) === 0, "a migration back leaves pages behind, though there is memory again");
  yield* demandBytes(trial, "after a migration back that found too little memory");
}

function* pinOne(mm: MmStruct, address: VirtAddr): Sleeps<Page[]> {
  yield* mm.mmapLock.downRead();
  try {
    return yield* pinUserPagesRemote(mm, address, 1, { write: true });
  } finally {
    mm.mmapLock.upRead();
  }
}

/** @throws Violation unless all RAM is free after the process has exited and the driver is unbound */
export function* demandNoLeak(trial: Trial): Sleeps<void> {
  const { driver, freeBefore, machine, mirror, process } = trial;
  yield* exitProcess(process);
  yield* must("closing the mirror", mirror.close());
  yield* must("unbinding the driver", driver.unbind());
  const lost = freeBefore - freePages(machine);
  demand(lost === 0, `process and driver are gone, and ${lost} pages of RAM with them`);
}
