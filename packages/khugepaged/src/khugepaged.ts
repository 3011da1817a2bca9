// The kernel thread that makes huge pages of small ones: it goes round all processes, 2 MiB at a time, a little every ten
// seconds. Kernel counterpart: khugepaged() and khugepaged_scan_mm_slot() in mm/khugepaged.c. (There processes sign up by
// a first fault; here all of them are gone through, and those that want no huge pages cost a look.)
import { condResched, KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct, Vm, Vma, VmParts } from "@hetmem/mm";
import { hugepageVmaCheck } from "@hetmem/mm/huge";
import type { HugeCollapse } from "@hetmem/mm/ports";
import { ENTRIES, PMD_SIZE } from "@hetmem/page-table";
import { collapseHugePage } from "./collapse.ts";
import { madviseCollapse } from "./madvise-collapse.ts";

const NS_PER_MS = 1_000_000;

export class Khugepaged implements HugeCollapse {
  /** Huge pages made. @see khugepaged_pages_collapsed */
  pagesCollapsed = 0;
  /** Times that it has been round. @see khugepaged_full_scans */
  fullScans = 0;
  stopped = false;
  private readonly vm: Vm;
  /** Where it goes on: in the first process from this number on, at this address. */
  private mmId = 0;
  private address = 0;

  constructor(vm: Vm) {
    this.vm = vm;
  }

  madviseCollapse(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
    return madviseCollapse(vma, start, end);
  }

  /** Looks at some pages. Once round is enough, if there are fewer. @see khugepaged_do_scan() */
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

  private current(): MmStruct | undefined {
    for (const mm of this.vm.addressSpaces) if (mm.id >= this.mmId) return mm;
    return undefined;
  }

  /** @returns pages that were looked at, and mappings that weren't @see khugepaged_scan_mm_slot() */
  private *scanMm(mm: MmStruct, pages: number): Sleeps<number> {
    if (this.mmId !== mm.id) this.address = 0;
    this.mmId = mm.id;
    let progress = 1;
    while (progress < pages) {
      // Who changes his address space now has better things to do than to wait for us.
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

  /** The next 2 MiB that may become a huge page. The mmap lock is held for reading, and given back. */
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

/** Runs until it is stopped: a task for a scheduler. @see khugepaged() */
export function* khugepaged(vm: Vm): Sleeps<void> {
  const { kernel, tunables } = vm;
  const daemon = khugepagedOf(vm);
  // Ends: when the daemon is stopped.
  while (!daemon.stopped) {
    yield* daemon.scan(tunables.khugepagedPagesToScan);
    yield* kernel.clock.sleep(tunables.khugepagedScanSleepMillisecs * NS_PER_MS);
  }
}

/** The khugepaged of a machine. @throws KernelBug when the machine was made with another one, or with none */
export function khugepagedOf({ khugepaged: collapse }: Vm): Khugepaged {
  if (!(collapse instanceof Khugepaged))
    throw new KernelBug("the machine has no Khugepaged: give Vm khugepagedParts");
  return collapse;
}

/** khugepaged and MADV_COLLAPSE for a machine, to be spread into the options of Vm. */
export const khugepagedParts: VmParts = { khugepaged: (vm) => new Khugepaged(vm) };
