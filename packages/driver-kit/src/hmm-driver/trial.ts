// One trial of a driver: a machine, a process with four pages, and the driver that mirrors it. Obligations are written in the
// verbs of this file. A driver that breaks an obligation throws a Violation out of them.
import {
  KernelError,
  nodeId,
  type Page,
  PAGE_SIZE,
  type Pfn,
  Random,
  run,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import {
  allocMm,
  MapFlag,
  mmap,
  mmgetNotZero,
  mmput,
  type MmStruct,
  type Process,
  Prot,
  readUser,
  writeUser,
} from "@hetmem/mm";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { formatIomem } from "@hetmem/resource";
import { finishes } from "../steps.ts";
import { demand, Violation } from "../violation.ts";
import type { BoundDriver, DriverMirror, DriverUnderTest } from "./driver.ts";
import { at, freePages, type TrialMachine, trialMachine } from "../machine.ts";

/** Pages of the process, and pages that the device has room for. */
export const PAGES = 4;
export const ROOM = 3;

/** Attempts at a request that ends in EBUSY. */
const ATTEMPTS = 5;

/** The OOM killer spares processes with this score. @see OOM_SCORE_ADJ_MIN */
const UNKILLABLE = -1000;

export interface Trial {
  readonly seed: number;
  readonly random: Random;
  readonly machine: TrialMachine;
  readonly driver: BoundDriver;
  readonly process: Process;
  /** The process's address space, which may have ended. */
  readonly mm: MmStruct;
  readonly mirror: DriverMirror;
  /** Free pages of RAM, and /proc/iomem, before the driver was bound. */
  readonly freeBefore: number;
  readonly iomemBefore: string;
}

/** The part of a trial that tells which pages of the process are in device memory. */
type InDevice = Pick<Trial, "machine" | "mm"> & { readonly driver: Pick<BoundDriver, "pagemap"> };

/** A trial for a seed, equal for equal seeds: byte 0 of every page of the process holds firstByte(). */
export function createTrial(driver: DriverUnderTest, seed: number): Trial {
  const machine = trialMachine();
  const { pagemaps, vm, iomem } = machine;
  const freeBefore = freePages(machine);
  const iomemBefore = formatIomem(iomem, { privileged: true });
  const mm = allocMm(vm, nodeId(0));
  if (mm === undefined) throw new KernelError("ENOMEM", "the machine of the kit has no room for a process");
  const process = vm.processes.add("process", mm, undefined);
  process.oomScoreAdj = UNKILLABLE;
  const bound = run(driver.probe({ vm, pagemaps, pages: ROOM }));
  const mirror = run(bound.open(mm));
  const random = new Random(seed);
  const trial = { seed, random, machine, driver: bound, process, mm, mirror, freeBefore, iomemBefore };
  run(mapPages(trial));
  return trial;
}

/** Maps the pages of the process, replacing older mappings, and writes byte 0 of each. */
export function* mapPages({ process, mm }: Pick<Trial, "process" | "mm">): Sleeps<void> {
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  yield* mmap(mm, { address: at(0), length: PAGES * PAGE_SIZE, prot: Prot.READ | Prot.WRITE, flags });
  for (let i = 0; i < PAGES; i++) yield* writeUser(process, at(i), Uint8Array.of(firstByte(i)));
}

/** The value of byte 0 of a page. */
export function firstByte(page: number): number {
  return page + 1;
}

/** Runs a part of the driver that must not fail. @throws Violation when it ends in a KernelError */
export function* must<T>(what: string, body: Sleeps<T>): Sleeps<T> {
  try {
    return yield* body;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw mustNotFail(what, error);
  }
}

function mustNotFail(what: string, error: KernelError): Violation {
  return new Violation(`${what} ends in ${error.errno}: ${error.reason}`, { cause: error });
}

/** Like must(), but repeats a request that ends in EBUSY: another obligation covers how often a driver retries by itself. */
export function* insist<T>(what: string, body: () => Sleeps<T>): Sleeps<T> {
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    try {
      return yield* body();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (error.errno !== "EBUSY") throw mustNotFail(what, error);
    }
  }
  return yield* must(what, body());
}

/** Runs a request that may end in a KernelError, as a system call. @returns whether it succeeded */
export function* may(body: Sleeps<unknown>): Sleeps<boolean> {
  try {
    yield* body;
    return true;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return false;
  }
}

/** A request of the process, whose address space is kept alive meanwhile. @throws KernelError ESRCH after its end, and errors of the driver */
export function* request<T>({ mm, mirror }: Trial, body: (mirror: DriverMirror) => Sleeps<T>): Sleeps<T> {
  if (!mmgetNotZero(mm)) throw new KernelError("ESRCH", `mm ${mm.id} has ended`);
  try {
    const finished = yield* finishes(body(mirror));
    demand(
      finished !== undefined,
      "a request never ends: it asks for something again and again that doesn't change",
    );
    return finished.result;
  } finally {
    yield* mmput(mm);
  }
}

/** The device reads a byte. */
export function* deviceRead(trial: Trial, address: VirtAddr): Sleeps<number> {
  const into = new Uint8Array(1);
  yield* request(trial, (mirror) => mirror.read(address, into));
  return into[0] as number;
}

export function deviceWrite(trial: Trial, address: VirtAddr, byte: number): Sleeps<unknown> {
  return request(trial, (mirror) => mirror.write(address, Uint8Array.of(byte)));
}

export function migrateTo(trial: Trial, first: number, pages: number): Sleeps<unknown> {
  return request(trial, (mirror) => mirror.migrateTo(at(first), pages * PAGE_SIZE));
}

/** Moves all pages of the process to RAM: by the mirror's migrateBack(), or by evict() of the driver. */
export function migrateBack(trial: Trial): Sleeps<unknown> {
  return request(trial, (mirror) => mirror.migrateBack?.(at(0), PAGES * PAGE_SIZE) ?? trial.driver.evict());
}

/** The cpu reads a byte. @returns the byte, or the signal as text */
export function* cpuRead(process: Process, address: VirtAddr): Sleeps<number | string> {
  const into = new Uint8Array(1);
  const signal = yield* readUser(process, address, into);
  return signal === undefined ? (into[0] as number) : `${signal.signo}, ${signal.reason}`;
}

/** @throws Violation unless the cpu reads firstByte() in byte 0 of every page */
export function* demandBytes({ process }: Trial, when: string): Sleeps<void> {
  for (let i = 0; i < PAGES; i++) {
    const read = yield* cpuRead(process, at(i));
    demand(read === firstByte(i), `${when}, byte 0 of page ${i} is ${read}, and ${firstByte(i)} was written`);
  }
}

/** The page mapped at an address, of RAM or of the device; undefined when there is none. */
export function pageAt({ mm: { pageTable } }: Pick<Trial, "mm">, address: VirtAddr): Page | undefined {
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.flags(entry) === 0 || (pageTable.flags(entry) & Pte.special) !== 0)
    return undefined;
  return pageTable.value(entry) as Page;
}

/** The number of pages of the process that are in device memory. */
export function pagesInDevice(trial: InDevice): number {
  const { driver, machine } = trial;
  let pages = 0;
  for (let i = 0; i < PAGES; i++) {
    const page = pageAt(trial, at(i));
    if (page !== undefined && driver.pagemap && machine.pagemaps.pagemapOf(page) === driver.pagemap) pages++;
  }
  return pages;
}

/** The number of frames of the device with more references than a free page has. */
export function framesInUse({ driver: { pagemap }, machine: { vm } }: InDevice): number {
  let used = 0;
  for (const { start, end } of pagemap?.spans ?? [])
    for (let frame = start; frame < end; frame = (frame + 1) as Pfn)
      if (vm.memmap.refcount(vm.memmap.pfnToPage(frame)) > (pagemap?.idleCount ?? 0)) used++;
  return used;
}
