// The kernel thread that collapses small pages to huge ones. It scans all processes in turn, some pages every ten
// seconds. In the kernel a process is registered by its first fault; here all processes are scanned, and one that may
// have no huge pages costs one check. Kernel counterpart: khugepaged() and khugepaged_scan_mm_slot() in
// mm/khugepaged.c.
import { condResched, KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct, Vm, Vma, VmParts } from "@hetmem/mm";
import { hugepageVmaCheck } from "@hetmem/mm/huge";
import type { HugeCollapse } from "@hetmem/mm/ports";
import { ENTRIES, PMD_SIZE } from "@hetmem/page-table";
import { collapseHugePage } from "./collapse.ts";
import { madviseCollapse } from "./madvise-collapse.ts";
import "./version.ts";

/** Nanoseconds of a millisecond, the unit of scan_sleep_millisecs. */
const NS_PER_MS = 1_000_000;

/** khugepaged of a machine: implements the port HugeCollapse of mm. @see struct khugepaged_scan */
export class Khugepaged implements HugeCollapse {
  /** Huge pages made. @see khugepaged_pages_collapsed */
  pagesCollapsed = 0;
  /** Scans of all processes completed. @see khugepaged_full_scans */
  fullScans = 0;
  /** Set to end the thread after its current scan. */
  stopped = false;
  private readonly vm: Vm;
  /** Position of the scan: the first process with at least this number, and the address in it. */
  private mmId = 0;
  private address = 0;

  constructor(vm: Vm) {
    this.vm = vm;
  }

  madviseCollapse(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
    return madviseCollapse(vma, start, end);
  }

  /**
   * Scans some pages, or all processes once if they have fewer.
   *
   * @param pages pages of 4 KiB
   * @see khugepaged_do_scan()
   */
  *scan(pages: number): Sleeps<void> {
    let left = pages;
    for (let wraps = 0; left > 0 && wraps < 2;) {
      yield condResched;
      const mm = this.current();
      if (mm) {
        left -= yield* this.scanMm(mm, left);
      } else {
        wraps++;
        if (this.mmId > 0) this.fullScans++;
        this.mmId = 0;
      }
    }
  }

  /** The process at the position of the scan; undefined behind the last. */
  private current(): MmStruct | undefined {
    for (const mm of this.vm.addressSpaces) if (mm.id >= this.mmId) return mm;
    return undefined;
  }

  /**
   * Scans one process.
   *
   * @returns pages scanned, and 1 for the process itself
   * @see khugepaged_scan_mm_slot()
   */
  private *scanMm(mm: MmStruct, pages: number): Sleeps<number> {
    if (this.mmId !== mm.id) this.address = 0;
    this.mmId = mm.id;
    let progress = 1;
    while (progress < pages) {
      // The scan skips a process that holds its mmap lock for writing, instead of making it wait.
      const address = mm.mmapLock.tryDownRead() ? this.nextCandidate(mm) : undefined;
      if (address === undefined) {
        this.mmId = mm.id + 1;
        this.address = 0;
        break;
      }
      this.address = address + PMD_SIZE;
      progress += ENTRIES;
      if ((yield* collapseHugePage(mm, address, "khugepaged")) === "succeeded") this.pagesCollapsed++;
    }
    return progress;
  }

  /** The next 2 MiB that may become a huge page. The mmap lock is held for reading, and is released. */
  private nextCandidate(mm: MmStruct): VirtAddr | undefined {
    let found: VirtAddr | undefined;
    for (
      let vma = mm.vmas.findFrom(this.address as VirtAddr);
      vma && found === undefined;
      vma = mm.vmas.after(vma)
    ) {
      const first = Math.ceil(Math.max(vma.start, this.address) / PMD_SIZE) * PMD_SIZE;
      if (first + PMD_SIZE <= vma.end && hugepageVmaCheck(vma, "khugepaged")) found = first as VirtAddr;
    }
    mm.mmapLock.upRead();
    return found;
  }
}

/** The thread: a task for a scheduler, which runs until `stopped` is set. @see khugepaged() */
export function* khugepaged(vm: Vm): Sleeps<void> {
  const { kernel, tunables } = vm;
  const daemon = khugepagedOf(vm);
  // Ends: when the daemon is stopped.
  while (!daemon.stopped) {
    yield* daemon.scan(tunables.khugepagedPagesToScan);
    yield* kernel.clock.sleep(tunables.khugepagedScanSleepMillisecs * NS_PER_MS);
  }
}

/** The Khugepaged of a machine. @throws KernelBug if the machine was made without khugepagedParts */
export function khugepagedOf({ khugepaged: collapse }: Vm): Khugepaged {
  if (!(collapse instanceof Khugepaged))
    throw new KernelBug(
      "the machine has no Khugepaged of this copy of @hetmem/khugepaged: give Vm its khugepagedParts",
    );
  return collapse;
}

/** khugepaged and MADV_COLLAPSE for a machine; spread them into the options of Vm. */
export const khugepagedParts: Required<Pick<VmParts, "khugepaged">> = {
  khugepaged: (vm) => new Khugepaged(vm),
};
