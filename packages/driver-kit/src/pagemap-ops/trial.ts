// One trial of a pagemap's ops: a machine, a process of four pages, and the memory. Obligations are written in the verbs of this file.
import { KernelBug, nodeId, type Page, run, type Sleeps } from "@hetmem/kernel";
import { MemoryType } from "@hetmem/memremap";
import { allocMm, type MmStruct, type Process, unlockPage } from "@hetmem/mm";
import type { Obligation } from "../conformance.ts";
import { mapPages, ROOM } from "../hmm-driver/trial.ts";
import { type TrialMachine, trialMachine } from "../machine.ts";
import type { PagemapOfTrial, PagemapUnderTest } from "./pagemap.ts";

/** The OOM killer spares processes with this score. @see OOM_SCORE_ADJ_MIN */
const UNKILLABLE = -1000;
/** Allocations after which a driver counts as endless: it may hand out ROOM pages. */
const ALLOC_MAX = 100;

export interface Trial {
  readonly machine: TrialMachine;
  readonly process: Process;
  readonly mm: MmStruct;
  /** Named as in trials of drivers: its pagemap is what the kit looks at. */
  readonly driver: PagemapOfTrial;
}

interface Rule {
  readonly name: string;
  readonly sentence: string;
  try(trial: Trial): Sleeps<void>;
}

/** An obligation whose trial is one task. */
export function obligation({ name, sentence, try: attempt }: Rule): Obligation<PagemapUnderTest> {
  return { name, sentence, attempt: (subject) => run(attempt(createTrial(subject))) };
}

export function createTrial(subject: PagemapUnderTest): Trial {
  const machine = trialMachine();
  const { vm, pagemaps } = machine;
  const mm = allocMm(vm, nodeId(0));
  if (mm === undefined) throw new KernelBug("the machine of the kit has no room for a process");
  const process = vm.processes.add("process", mm, undefined);
  process.oomScoreAdj = UNKILLABLE;
  const driver = run(subject.probe({ vm, pagemaps, pages: ROOM, mm }));
  run(mapPages({ process, mm }));
  return { machine, process, mm, driver };
}

/** Whether the cpu can't reach the memory, so that each touch of it asks the driver. */
export function isPrivate({ driver: { pagemap } }: Trial): boolean {
  return pagemap.type === MemoryType.DevicePrivate;
}

/** Pages that the driver hands out until there are none. */
export function allocAll({ driver }: Trial): Page[] {
  const pages: Page[] = [];
  while (pages.length < ALLOC_MAX) {
    const page = driver.alloc?.();
    if (page === undefined) break;
    pages.push(page);
  }
  return pages;
}

/** Gives a page that was handed out back: it is unlocked, and its last user goes. */
export function free({ machine: { vm } }: Trial, page: Page): void {
  unlockPage(vm.memmap, page);
  vm.memmap.putPage(page);
}
