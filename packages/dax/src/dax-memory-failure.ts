// Memory of a device that goes bad while processes have it mapped. They are cut off from it and told; nothing can be
// moved, for the device is the file. Who touches it afterwards gets SIGBUS. Kernel counterpart: mf_generic_kill_procs()
// and memory_failure_dev_pagemap() in mm/memory-failure.c.
import type { Pfn, Sleeps, VirtAddr } from "@hetmem/kernel";
import { type Process, Pte, unmapMappingRange, type Vm } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { pgoffOf } from "./dax-fault.ts";
import type { DevDax } from "./dev-dax.ts";

export interface BadFrames {
  readonly frame: Pfn;
  readonly pages: number;
  /** Who was reading them when they failed. */
  readonly accessing?: Process;
}

interface ToKill {
  readonly process: Process;
  readonly address: VirtAddr;
}

/** Cuts everybody off from bad frames of a device, and tells whoever had them mapped. @see mf_generic_kill_procs() */
export function* daxMemoryFailure(vm: Vm, device: DevDax, bad: BadFrames): Sleeps<void> {
  for (let i = 0; i < bad.pages; i++) yield* failFrame(vm, device, (bad.frame + i) as Pfn, bad.accessing);
}

function* failFrame(vm: Vm, device: DevDax, frame: Pfn, accessing: Process | undefined): Sleeps<void> {
  const { memmap, kernel, memory } = vm;
  const page = memmap.pfnToPage(frame);
  if (!memmap.test(page, PageFlag.hwpoison)) {
    memmap.set(page, PageFlag.hwpoison);
    memory.counters.poisonedPages++;
  }
  const pgoff = pgoffOf(device, frame);
  const mapping = device.inode?.mapping;
  if (pgoff !== undefined && mapping) {
    const toKill = collectProcs(vm, device, pgoff);
    const unit = device.align / 4096;
    yield* unmapMappingRange(mapping, pgoff - (pgoff % unit), unit, false);
    for (const { process, address } of toKill) kill(vm, process, address, frame, process === accessing);
  }
  kernel.log.printk(3, `Memory failure: 0x${frame.toString(16)}: recovery action for dax page: Recovered`);
}

/** The processes in whose page tables a page of the device is now. @see collect_procs(), dev_pagemap_mapping_shift() */
function collectProcs(vm: Vm, { inode }: DevDax, pgoff: number): ToKill[] {
  const toKill: ToKill[] = [];
  for (const vma of inode?.mapping.iMmap.overlapping(pgoff, pgoff) ?? []) {
    const address = vma.addressOf(pgoff);
    const { pageTable } = vma.mm;
    const entry = pageTable.find(address);
    const pmd = pageTable.findPmd(address);
    const flags = entry >= 0 ? pageTable.flags(entry) : pmd >= 0 ? pageTable.flags(pmd) : 0;
    if ((flags & Pte.present) === 0) continue;
    for (const process of vm.processes) if (process.mm === vma.mm) toKill.push({ process, address });
  }
  return toKill;
}

/** @see kill_proc() */
function kill({ kernel }: Vm, process: Process, address: VirtAddr, frame: Pfn, accessing: boolean): void {
  const where = `0x${frame.toString(16)}`;
  kernel.log.printk(
    3,
    `Memory failure: ${where}: Sending SIGBUS to ${process.comm}:${process.pid} due to hardware memory corruption`,
  );
  process.deliver({
    signo: "SIGBUS",
    code: accessing ? "BUS_MCEERR_AR" : "BUS_MCEERR_AO",
    address,
    reason: `the memory of frame ${where}, which is mapped there, is bad`,
  });
}
