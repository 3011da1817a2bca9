// Obligations of memoryFailure(). Kernel counterpart: memory_failure_dev_pagemap() in mm/memory-failure.c.
import { KernelError, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { memoryFailureDevPagemap } from "@hetmem/memremap";
import { exitProcess } from "@hetmem/mm";
import { cpuRead, firstByte, pageAt } from "../hmm-driver/trial.ts";
import { at } from "../machine.ts";
import { demand } from "../violation.ts";
import { allocAll, free, obligation, type Trial } from "./trial.ts";

/** Where a mapping of the device goes: at a multiple of 2 MiB. */
const MAPPED = 512;

export const neverReadsBadMemory = obligation({
  name: "lets nobody read bad memory",
  sentence:
    "After memoryFailure() a process gets SIGBUS where it had the bad page, or what it wrote, and nothing else.",
  *try(trial) {
    const where = yield* putToUse(trial);
    if (where === undefined) return;
    const { page, address, byte } = where;
    if (!(yield* fails(trial, page))) return;
    const read = yield* cpuRead(trial.process, at(address));
    demand(
      typeof read === "string" || read === byte,
      `page ${page} is bad, and the process reads ${read} where it wrote ${byte}`,
    );
  },
});

export const retiresBadPages = obligation({
  name: "hands out no bad page",
  sentence: "A page that went bad isn't handed out again, whether it was in use or idle.",
  *try(trial) {
    const { driver, process } = trial;
    const idle = driver.alloc?.();
    if (idle === undefined) return;
    free(trial, idle);
    const used = yield* putToUse(trial);
    if (used === undefined) return;
    const bad = [used.page, ...(idle === used.page ? [] : [idle])];
    for (const page of bad) if (!(yield* fails(trial, page))) return;
    yield* exitProcess(process);
    const again = allocAll(trial).find((page) => bad.includes(page));
    demand(again === undefined, `page ${again} went bad, and is handed out again`);
  },
});

interface InUse {
  readonly page: Page;
  /** Number of the page for at(). */
  readonly address: number;
  readonly byte: number;
}

/** A page of the memory that the process uses; undefined where it can't, or the driver isn't told of bad memory. */
function* putToUse(trial: Trial): Sleeps<InUse | undefined> {
  const { driver, process } = trial;
  if (driver.pagemap.ops.memoryFailure === undefined) return undefined;
  if (driver.migrateTo !== undefined) {
    yield* driver.migrateTo(at(0), PAGE_SIZE);
    const page = pageAt(trial, at(0));
    return page === undefined ? undefined : { page, address: 0, byte: firstByte(0) };
  }
  if (driver.mapInto === undefined) return undefined;
  yield* driver.mapInto(process, at(MAPPED));
  const byte = yield* cpuRead(process, at(MAPPED));
  const page = trial.machine.vm.memmap.pfnToPage(driver.pagemap.firstPfn(0));
  return typeof byte === "number" ? { page, address: MAPPED, byte } : undefined;
}

/** Reports a page as bad. @returns whether the driver took it on @throws errors that are no KernelError */
function* fails({ machine: { pagemaps, vm }, process }: Trial, page: Page): Sleeps<boolean> {
  try {
    return yield* memoryFailureDevPagemap(pagemaps, vm.memmap.pageToPfn(page), process);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return false;
  }
}
