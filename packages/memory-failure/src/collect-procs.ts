// Whom bad memory concerns: the processes that map a page, found before it is unmapped, and what they are told. One that
// asked to hear early gets SIGBUS at once, the one that was just reading the page always; the others hear when they touch
// it. Kernel counterpart: collect_procs() and kill_procs() in mm/memory-failure.c.
import { type Page, PAGE_SHIFT, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { Process, Vm, Vma } from "@hetmem/mm";
import { pageAnon, presentEntry, rmapWalk } from "@hetmem/mm/rmap";
import { NO_ENTRY } from "@hetmem/page-table";

/** @see struct to_kill */
export interface ToKill {
  readonly process: Process;
  /** First byte of the page, where the process has it. */
  readonly address: VirtAddr;
  /** The mapping that is lost with it is 2 to this power bytes long: 12 where absent. @see dev_pagemap_mapping_shift() */
  readonly sizeShift?: number;
}

/**
 * The processes to tell at once, and where each has the page. Those that map the part of a file that is bad are told
 * although they have not touched it.
 *
 * @param accessing who was reading the page when it failed
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

/** Tells them. @see kill_procs() */
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

/** The page stays mapped: who maps it must not live to read it. */
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

/** Whether a process is told before it touches what is bad. @see task_early_kill() */
export function hearsEarly({ tunables }: Vm, process: Process, accessing: Process | undefined): boolean {
  return process === accessing || process.mceKillEarly || tunables.memoryFailureEarlyKill;
}
