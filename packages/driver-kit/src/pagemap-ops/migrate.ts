// Obligations of migrateToRam(). Kernel counterpart: do_swap_page() in mm/memory.c, which calls it again until the entry has changed.
import { runSchedule } from "@hetmem/explore";
import { PAGE_SIZE, run, type Sleeps } from "@hetmem/kernel";
import { forkProcess, readUser, writeUser } from "@hetmem/mm";
import type { Obligation } from "../conformance.ts";
import { cpuRead, firstByte, framesInUse, PAGES, pagesInDevice, ROOM } from "../hmm-driver/trial.ts";
import { at } from "../machine.ts";
import { finishes } from "../steps.ts";
import { demand } from "../violation.ts";
import type { PagemapUnderTest } from "./pagemap.ts";
import { createTrial, isPrivate, obligation, type Trial } from "./trial.ts";

/** The fault injection point of the page allocator. */
const FAIL_PAGE_ALLOC = "fail_page_alloc";

export const movesThePage = obligation({
  name: "moves the page that the cpu touches",
  sentence: "After migrateToRam() a page of RAM is mapped, and the page of the device has no user.",
  *try(trial) {
    if (!(yield* moved(trial, ROOM))) return;
    for (let i = 0; i < ROOM; i++) yield* touch(trial, i);
    demand(
      pagesInDevice(trial) === 0,
      `${pagesInDevice(trial)} pages were touched, and are still in the device`,
    );
    demand(
      framesInUse(trial) === 0,
      `all pages are back in RAM, and ${framesInUse(trial)} of the device are in use`,
    );
  },
});

export const keepsContents = obligation({
  name: "keeps contents on the way",
  sentence: "The page of RAM holds what the page of the device held, to the last byte.",
  *try(trial) {
    const written = pattern();
    yield* writeUser(trial.process, at(0), written);
    if (!(yield* moved(trial, 1))) return;
    const into = new Uint8Array(PAGE_SIZE);
    if ((yield* readUser(trial.process, at(0), into)) !== undefined) return;
    const wrong = into.findIndex((byte, i) => byte !== written[i]);
    demand(wrong < 0, `byte ${wrong} of a page that came back is ${into[wrong]}, not ${written[wrong]}`);
  },
});

export const survivesAFailure = obligation({
  name: "leaves the page when it can't move it",
  sentence: "Without memory the fault ends, and the page stays in the device, unlocked, until there is some.",
  *try(trial) {
    if (!(yield* moved(trial, 1)) || !(yield* comesBack(trial))) return;
    const allocation = trial.machine.kernel.faults.point(FAIL_PAGE_ALLOC);
    allocation.arm({ probability: 100 });
    const failed = yield* finishes(cpuRead(trial.process, at(0)));
    allocation.disarm();
    demand(failed !== undefined, "no memory is free, and a touch of the cpu never ends");
    // Out of memory, and the process was killed.
    if (trial.process.mm === undefined) return;
    const again = yield* finishes(cpuRead(trial.process, at(0)));
    demand(
      again?.result === firstByte(0),
      `memory is free again, and a touch of the cpu ends in ${again?.result ?? "nothing"}, not ${firstByte(0)}`,
    );
  },
});

export const answersTwice: Obligation<PagemapUnderTest> = {
  name: "answers again for a page that is on its way",
  sentence:
    "Two processes that touch a page at once both go on with it: the second call finds it locked, or gone.",
  attempt(subject, seed) {
    runSchedule(() => {
      const trial = createTrial(subject);
      const { kernel } = trial.machine;
      if (!run(moved(trial, 1)) || !run(comesBack(trial)))
        return { kernel, tasks: {}, afterStep: nothing, afterwards: nothing };
      const child = run(forkProcess(trial.process));
      return {
        kernel,
        tasks: {
          parent: () => demandByte(trial, "the parent"),
          child: () => demandByte({ ...trial, process: child }, "the child"),
        },
        afterStep: nothing,
        afterwards: nothing,
      };
    }, seed);
  },
};

function nothing(): void {}

/** Whether a page comes back at all, which is another obligation: tried on the last page of the process. */
function* comesBack({ driver, process }: Trial): Sleeps<boolean> {
  yield* driver.migrateTo?.(at(PAGES - 1), PAGE_SIZE) ?? idle();
  return typeof (yield* cpuRead(process, at(PAGES - 1))) === "number";
}

function* idle(): Sleeps<void> {}

/** Moves the first pages of the process to the device. @returns whether the cpu reaches them through migrateToRam() only */
function* moved(trial: Trial, pages: number): Sleeps<boolean> {
  if (!isPrivate(trial) || trial.driver.migrateTo === undefined) return false;
  yield* trial.driver.migrateTo(at(0), pages * PAGE_SIZE);
  const there = pagesInDevice(trial);
  demand(there === pages, `${pages} pages were to move to the device, and ${there} did`);
  return true;
}

/** The cpu touches a page; whether it gets the right byte is another obligation. */
function* touch({ process }: Trial, page: number): Sleeps<void> {
  const read = yield* cpuRead(process, at(page));
  demand(typeof read === "number", `a touch of the cpu ends in ${read}`);
}

function* demandByte({ process }: Trial, who: string): Sleeps<void> {
  const read = yield* cpuRead(process, at(0));
  demand(read === firstByte(0), `${who} reads ${read}, and ${firstByte(0)} was written`);
}

/** Different bytes in both halves of a page, and none as firstByte() has them. */
function pattern(): Uint8Array {
  return Uint8Array.from({ length: PAGE_SIZE }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
}
