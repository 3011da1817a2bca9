// Memory failure in a mapped dax device. The mappings of the bad page are zapped, and the process that read it and
// processes with early kill are signalled. The page can't be migrated, since the device is the backing store. Later
// accesses get SIGBUS. Kernel counterpart: mf_generic_kill_procs() in mm/memory-failure.c.
import { MiB, PAGE_SHIFT, type Pfn, type Sleeps } from "@hetmem/kernel";
import { hearsEarly, killProcs, type ToKill } from "@hetmem/memory-failure";
import type { Process, Vm } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { unmapMappingRange } from "@hetmem/page-cache";
import { Pte } from "@hetmem/page-table";
import { pgoffOf } from "./dax-fault.ts";
import type { DevDax } from "./dev-dax.ts";

export interface BadFrames {
  readonly frame: Pfn;
  readonly pages: number;
  /** The process whose access hit the bad memory. */
  readonly accessing?: Process;
}

const PMD_SHIFT: number = Math.log2(2 * MiB);

/** Zaps all mappings of bad frames of a device, and signals processes. @see mf_generic_kill_procs() */
export function* daxMemoryFailure(vm: Vm, device: DevDax, bad: BadFrames): Sleeps<void> {
  for (let i = 0; i < bad.pages; i++) yield* failFrame(vm, device, (bad.frame + i) as Pfn, bad.accessing);
}

function* failFrame(vm: Vm, device: DevDax, frame: Pfn, accessing: Process | undefined): Sleeps<void> {
  const { memmap } = vm;
  // Not counted in HardwareCorrupted, which covers kernel-managed RAM only.
  memmap.set(memmap.pfnToPage(frame), PageFlag.hwpoison);
  const pgoff = pgoffOf(device, frame);
  const mapping = device.inode?.mapping;
  if (pgoff === undefined || !mapping) return;
  const toKill = collectProcs(vm, device, pgoff, accessing);
  const unit = device.align / 4096;
  // Zaps the mappings of unsignalled processes too: on a machine their next access is a machine check, here a fault.
  yield* unmapMappingRange(mapping, pgoff - (pgoff % unit), unit, false);
  killProcs(vm, toKill, frame, accessing);
}

/**
 * The processes to signal among those whose page tables map a page of the device.
 *
 * @see collect_procs(), dev_pagemap_mapping_shift()
 */
function collectProcs(vm: Vm, { inode }: DevDax, pgoff: number, accessing: Process | undefined): ToKill[] {
  const toKill: ToKill[] = [];
  for (const vma of inode?.mapping.iMmap.overlapping(pgoff, pgoff) ?? []) {
    const address = vma.addressOf(pgoff);
    const { pageTable } = vma.mm;
    const entry = pageTable.find(address);
    const pmd = pageTable.findPmd(address);
    const flags = entry >= 0 ? pageTable.flags(entry) : pmd >= 0 ? pageTable.flags(pmd) : 0;
    if ((flags & Pte.present) === 0) continue;
    const sizeShift = entry >= 0 ? PAGE_SHIFT : PMD_SHIFT;
    for (const process of vm.processes)
      if (process.mm === vma.mm && hearsEarly(vm, process, accessing))
        toKill.push({ process, address, sizeShift });
  }
  return toKill;
}
