// Obligations about the OOM killer. Kernel counterparts: __alloc_pages_may_oom() in mm/page_alloc.c, out_of_memory() and
// pagefault_out_of_memory() in mm/oom_kill.c.
import type { Sleeps } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import type { OomChoice } from "@hetmem/mm/ports";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { freePages } from "../machine.ts";
import { demand } from "../violation.ts";
import { fillMemory, obligation, request, spawn, type Trial } from "./trial.ts";

const PAGES = 40;
/** Faults that may fail in a row before a process is killed: more than MAX_RECLAIM_RETRIES. */
const FAULTS = 40;

/** Names the candidate with the fewest pages. */
const smallestFirst: OomChoice = {
  selectBadProcess({ candidates }) {
    const living = [...candidates()].filter(({ mm }) => mm !== undefined && mm.oom === "none");
    return living.sort((a, b) => (a.mm?.rssPages ?? 0) - (b.mm?.rssPages ?? 0))[0];
  },
  oomBadness: ({ mm }) => (mm === undefined ? undefined : -mm.rssPages),
};

export const killsAtLast = obligation({
  name: "kills when nothing else is left",
  sentence:
    "Where no page can be freed and a process may be killed, one is, and the request gets its memory.",
  swapping: false,
  *try(trial) {
    const processes = [yield* killable(trial, PAGES), yield* killable(trial, PAGES * 2)];
    fillMemory(trial);
    const page = (yield* request(trial)) ?? NULL_PAGE;
    demand(
      page !== NULL_PAGE || killed(processes).length > 0,
      "memory is full, no process is killed, and no page is found",
    );
  },
});

export const asksTheChoice = obligation({
  name: "kills the process that the choice names",
  sentence: "The victim is the one that the machine's OomChoice names, and no other.",
  swapping: false,
  oomChoice: smallestFirst,
  *try(trial) {
    const [small, large] = [yield* killable(trial, PAGES), yield* killable(trial, PAGES * 2)];
    fillMemory(trial);
    yield* request(trial);
    demand(
      !large.killed || small.killed,
      `process ${small.pid} is named, and process ${large.pid} is killed`,
    );
  },
});

export const spares = obligation({
  name: "kills for no request that may fail",
  sentence:
    "A caller that can do without the page (RETRY_MAYFAIL, NORETRY) gets none, and no process dies for it.",
  swapping: false,
  *try(trial) {
    const processes = [yield* killable(trial, PAGES)];
    fillMemory(trial);
    const bit = trial.seed % 2 === 0 ? Gfp.RETRY_MAYFAIL : Gfp.NORETRY;
    yield* request(trial, { gfp: GFP_HIGHUSER_MOVABLE | bit });
    const [victim] = killed(processes);
    demand(victim === undefined, `process ${victim?.pid} is killed for a request that may fail`);
  },
});

export const endsFaults = obligation({
  name: "ends the faults of a process that gets no memory",
  sentence: "A fault that ends in OOM isn't tried for ever: memory becomes free, or a process is killed.",
  swapping: false,
  *try(trial) {
    const processes = [yield* killable(trial, PAGES), yield* killable(trial, PAGES * 2)];
    fillMemory(trial);
    const before = freePages(trial.machine);
    const [process] = processes;
    for (let i = 0; i < FAULTS && killed(processes).length === 0; i++)
      if (process !== undefined) yield* trial.reclaim.pagefaultOutOfMemory(process);
    const freed = freePages(trial.machine) - before;
    demand(
      killed(processes).length > 0 || freed > 0,
      `${FAULTS} faults in a row found no memory, and no process is killed`,
    );
  },
});

function killable(trial: Trial, pages: number): Sleeps<Process> {
  return spawn(trial, pages, trial.memcgs.root, 0);
}

function killed(processes: readonly Process[]): readonly Process[] {
  return processes.filter((process) => process.killed);
}
