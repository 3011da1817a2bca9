// A small machine for tests of mirrors: by default a node with a CPU and 32 MiB, processes with memory at a fixed
// address, and a device's view of that memory. Cases are written in its operations.
import {
  type Kernel,
  MiB,
  type Page,
  type Pfn,
  run,
  type Sleeps,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import {
  type FaultContext,
  lockPage,
  MapFlag,
  mmap,
  type MmStruct,
  noDevicePages,
  type Process,
  Prot,
  readUser,
  type Tunables,
  unlockPage,
  type Vm,
  type Vma,
  writeUser,
} from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import { removeMigrationPtes, tryToMigrate } from "@hetmem/mm/rmap";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  MmuIntervalNotifier,
  mmuIntervalNotifierInsert,
  mmuIntervalReadBegin,
  mmuIntervalSetSeq,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { Pte } from "@hetmem/page-table";
import { wholeVm } from "./whole-vm.ts";
import { type Memory } from "@hetmem/zone";
import {
  allocHmmPfns,
  HmmPfn,
  hmmPfnFlags,
  hmmPfnToMapOrder,
  hmmPfnToPage,
  type HmmRange,
  hmmRangeFault,
  type HmmRangeResult,
} from "@hetmem/hmm-mirror";
import { bootRam, freePagesOf, nodesOf } from "./ram.ts";
import { mmOf, PAGE, spawnOn } from "./vm-machine.ts";

export const BASE = 0x4000_0000;
/** A pfn without memory. */
export const NO_RAM = 0x10_0000 as Pfn;
export const RW: number = Prot.READ | Prot.WRITE;

export interface MirrorMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly vm: Vm;
  /** Owner of the device memory that a page is in. Pages of RAM stand in for device pages: only the entries matter. */
  readonly owners: Map<Page, string>;
  /** Pages that were moved back to RAM, in order. */
  readonly movedBack: Page[];
  spawn(comm?: string): Process;
  freePages(): number;
}

/** @param nodes bytes of memory of each */
export function mirrorMachine(
  tunables: Partial<Tunables> = {},
  nodes: readonly number[] = [32 * MiB],
): MirrorMachine {
  const { kernel, memory } = bootRam(nodesOf(nodes), { physicalBits: 33 });
  const owners = new Map<Page, string>();
  const movedBack: Page[] = [];
  const devices = {
    ...noDevicePages,
    pgmapOwner: (page: Page) => owners.get(page),
    migrateToRam: (fault: FaultContext, page: Page) => migrateToRam(movedBack, fault, page),
  };
  const vm = wholeVm(memory, { devices, tunables: { transparentHugepage: "never", ...tunables } });
  return {
    kernel,
    memory,
    vm,
    owners,
    movedBack,
    spawn: (comm) => spawnOn(vm, comm),
    freePages: () => freePagesOf(memory),
  };
}

/** The driver's migrateToRam(): invalidates mirrors, and lets the entry map RAM. */
function* migrateToRam(movedBack: Page[], { vma, address, entry }: FaultContext, page: Page): Sleeps<number> {
  const { mm } = vma;
  const { pageTable } = mm;
  const had = pageTable.flags(entry);
  const end = (address + PAGE) as VirtAddr;
  const range = { mm, start: address, end, event: MmuNotifyEvent.Migrate };
  yield* invalidateRangeStart(range);
  if (pageTable.value(entry) === page && pageTable.flags(entry) === had) {
    pageTable.set(entry, page, Pte.present | Pte.write | Pte.accessed | Pte.dirty);
    movedBack.push(page);
  }
  yield* invalidateRangeEnd(range);
  return 0;
}

/** The address of the n-th page of the memory. */
export function at(page: number): VirtAddr {
  return virtAddr(BASE + page * PAGE);
}

/** Maps private anonymous memory, from the n-th page on. */
export function mapPages(process: Process, first: number, count: number, prot: number = RW): void {
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;
  run(mmap(mmOf(process), { address: at(first), length: count * PAGE, prot, flags }));
}

/** Maps a device's file, whose driver fills the mapping. */
export function mapDevice(process: Process, first: number, count: number, fill: (vma: Vma) => void): void {
  const file: FileObject = {
    path: "/dev/registers",
    inode: 1,
    device: { major: 1, minor: 1 },
    writable: true,
    mapping: undefined,
    vmOps: {},
    mmap: fill,
  };
  const flags = MapFlag.SHARED | MapFlag.FIXED;
  run(mmap(mmOf(process), { address: at(first), length: count * PAGE, prot: RW, flags, file }));
}

/** Writes a byte to the beginning of a page. */
export function write(process: Process, page: number, byte: number): void {
  const signal = run(writeUser(process, at(page), Uint8Array.of(byte)));
  if (signal) throw new Error(`page ${page} can't be written: ${signal.reason}`);
}

export function read(process: Process, page: number): number {
  const into = new Uint8Array(1);
  const signal = run(readUser(process, at(page), into));
  if (signal) throw new Error(`page ${page} can't be read: ${signal.reason}`);
  return into[0] as number;
}

/** The entry for a page, as [value, flags]. */
export function entryOf(process: Process, page: number): [value: Page, flags: number] {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(at(page));
  return entry < 0 ? [0 as Page, 0] : [pageTable.value(entry) as Page, pageTable.flags(entry)];
}

/** Sets the flags of an entry. */
export function setEntryFlags(process: Process, page: number, flags: number): void {
  const { pageTable } = mmOf(process);
  pageTable.setFlags(pageTable.find(at(page)), flags);
}

/** Maps two pages; the first is under migration until the returned function is called. */
export function withMovingPage({ vm }: MirrorMachine, process: Process): () => void {
  const { memmap } = vm;
  mapPages(process, 0, 2);
  write(process, 0, 3);
  const [page] = entryOf(process, 0);
  memmap.getPage(page);
  run(lockPage(memmap, page));
  if (!run(tryToMigrate(vm, page))) throw new Error("the page stays mapped");
  return () => {
    run(removeMigrationPtes(vm, page, page));
    unlockPage(memmap, page);
    memmap.putPage(page);
  };
}

/** An interval notifier that records the sequence number and does nothing else. */
export function listener(mm: MmStruct, first: number, count: number): MmuIntervalNotifier {
  const notifier = new MmuIntervalNotifier(
    {
      *invalidate(self, _range, sequence) {
        mmuIntervalSetSeq(self, sequence);
        return true;
      },
    },
    undefined,
  );
  run(mmuIntervalNotifierInsert(notifier, mm, at(first), count * PAGE));
  return notifier;
}

export interface LookOptions {
  readonly defaultFlags?: number;
  readonly pfnFlagsMask?: number;
  readonly devPrivateOwner?: string;
  /** Requests of single pages, by page of the range. */
  readonly requests?: Readonly<Record<number, number>>;
}

/** A range for hmmRangeFault(), with a sequence number read now. */
export function rangeOf(process: Process, first: number, count: number, options: LookOptions = {}): HmmRange {
  const notifier = listener(mmOf(process), first, count);
  const hmmPfns = allocHmmPfns(count);
  for (const [page, flags] of Object.entries(options.requests ?? {})) hmmPfns[Number(page) * 2 + 1] = flags;
  return {
    notifier,
    notifierSeq: run(mmuIntervalReadBegin(notifier)),
    start: at(first),
    end: at(first + count),
    hmmPfns,
    defaultFlags: options.defaultFlags ?? 0,
    pfnFlagsMask: options.pfnFlagsMask ?? 0,
    devPrivateOwner: options.devPrivateOwner,
  };
}

/** Calls hmmRangeFault() once, with the mmap lock held. */
export function* lookOnce(mm: MmStruct, range: HmmRange): Sleeps<HmmRangeResult> {
  yield* mm.mmapLock.downRead();
  try {
    return yield* hmmRangeFault(range);
  } finally {
    mm.mmapLock.upRead();
  }
}

/** Repeats hmmRangeFault() as long as it ends in EBUSY. */
export function* look(mm: MmStruct, range: HmmRange): Sleeps<void> {
  while ((yield* lookOnce(mm, range)) === "busy")
    range.notifierSeq = yield* mmuIntervalReadBegin(range.notifier);
}

/**
 * Access of the device to each page: `rw`, `r`, `-` where nothing is, `error`; `rw9` for one of a mapping of order 9.
 */
export function answersOf({ hmmPfns }: HmmRange): string[] {
  return Array.from({ length: hmmPfns.length / 2 }, (_, i) => {
    const flags = hmmPfnFlags(hmmPfns, i);
    if ((flags & HmmPfn.error) !== 0) return "error";
    if ((flags & HmmPfn.valid) === 0) return "-";
    const order = hmmPfnToMapOrder(hmmPfns, i);
    return `r${(flags & HmmPfn.write) !== 0 ? "w" : ""}${order === 0 ? "" : order}`;
  });
}

export function pagesOf({ hmmPfns }: HmmRange): Page[] {
  return Array.from({ length: hmmPfns.length / 2 }, (_, i) => hmmPfnToPage(hmmPfns, i));
}

/** Access of the device to each page of a range. */
export function answers(process: Process, first: number, count: number, options: LookOptions = {}): string[] {
  const range = rangeOf(process, first, count, options);
  run(look(mmOf(process), range));
  return answersOf(range);
}
