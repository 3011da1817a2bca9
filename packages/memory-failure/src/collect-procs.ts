// The processes that map a page with a memory error, and the signals they get. The processes are collected before the
// page is unmapped. A process with early kill, and the process whose access failed, get SIGBUS at once; any other gets
// it at its next access. Kernel counterpart: collect_procs() and kill_procs() in mm/memory-failure.c.
import { type Page, PAGE_SHIFT, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { Process, Vm, Vma } from "@hetmem/mm";
import { pageAnon, presentEntry, rmapWalk } from "@hetmem/mm/rmap";
import { NO_ENTRY } from "@hetmem/page-table";

/** A process to signal. @see struct to_kill */
export interface ToKill {
  readonly process: Process;
  /** Address at which the process maps the page. */
  readonly address: VirtAddr;
  /** Size of the mapping that is lost, as a power of two of bytes: 12 where absent. @see dev_pagemap_mapping_shift() */
  readonly sizeShift?: number;
}

/**
 * Collects the processes to signal at once, each with the addresses at which it maps the page. A process that maps the
 * bad part of a file is collected even if its entry isn't present.
 *
 * @param accessing process whose access failed; undefined: none
 * @see collect_procs()
 */
export function* collectProcs(vm: Vm, page: Page, accessing: Process | undefined): Sleeps<ToKill[]> {
  const anon = pageAnon(vm, page);
  const hits: { readonly vma: Vma; readonly address: VirtAddr }[] = [];
  yield* rmapWalk(vm, page, function* (vma, address) {
    if (!anon || presentEntry(vma.mm.pageTable, address, page) !== NO_ENTRY) hits.push({ vma, address });
    return true;
  });
  const early = [...vm.processes].filter((process) => hearsEarly(vm, process, accessing));
  return early.flatMap((process) =>
    hits.filter(({ vma }) => vma.mm === process.mm).map(({ address }) => ({ process, address })),
  );
}

/**
 * Sends SIGBUS to each: BUS_MCEERR_AR to the process whose access failed, BUS_MCEERR_AO to the others.
 *
 * @param frame number of the bad frame
 * @param accessing process whose access failed; undefined: none
 * @see kill_procs()
 */
export function killProcs(
  { kernel }: Vm,
  toKill: readonly ToKill[],
  frame: number,
  accessing: Process | undefined,
): void {
  for (const { process, address, sizeShift = PAGE_SHIFT } of toKill) {
    kernel.log.printk(
      3,
      `Memory failure: 0x${frame.toString(16)}: Sending SIGBUS to ${process.comm}:${process.pid} due to hardware memory corruption`,
    );
    process.deliver({
      signo: "SIGBUS",
      code: process === accessing ? "BUS_MCEERR_AR" : "BUS_MCEERR_AO",
      address,
      addressLsb: sizeShift,
      reason: `the memory of page 0x${frame.toString(16)}, which is mapped there, is bad`,
    });
  }
}

/**
 * Sends SIGKILL to each: the page could not be unmapped, and must not be read.
 *
 * @param frame number of the bad frame
 * @see kill_procs() with forcekill
 */
export function killForcibly({ kernel }: Vm, toKill: readonly ToKill[], frame: number): void {
  for (const { process, address } of toKill) {
    kernel.log.printk(
      3,
      `Memory failure: 0x${frame.toString(16)}: forcibly killing ${process.comm}:${process.pid} because of failure to unmap corrupted page`,
    );
    process.deliver({
      signo: "SIGKILL",
      code: "SI_KERNEL",
      address,
      reason: `page 0x${frame.toString(16)} is bad and can't be unmapped`,
    });
  }
}

/**
 * Whether a process is signalled before it accesses the bad page.
 *
 * @param accessing process whose access failed; undefined: none
 * @see task_early_kill()
 */
export function hearsEarly({ tunables }: Vm, process: Process, accessing: Process | undefined): boolean {
  return process === accessing || process.mceKillEarly || tunables.memoryFailureEarlyKill;
}
