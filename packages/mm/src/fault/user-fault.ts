// Faults of processes: the access gets its page, or the process gets SIGSEGV, SIGBUS or, from the OOM killer,
// SIGKILL. The lockless fast path is tried first; the slow path takes the mmap lock for reading and may grow a stack.
// Kernel counterpart: do_user_addr_fault() in arch/x86/mm/fault.c.
import { PAGE_SHIFT, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { Process } from "../process/process.ts";
import type { Signal, SignalCode } from "../process/signal.ts";
import { findExtendVma } from "../vma/stack.ts";
import type { Vma } from "../vma/vma.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import { faultFast } from "./fault-fast.ts";
import { handleMmFault } from "./handle-mm-fault.ts";
import { FaultFlag, VM_FAULT_ERROR, VmFault } from "./vm-fault.ts";

/**
 * Handles a fault of a process.
 *
 * @param address the byte that was accessed
 * @param flags FaultFlag bits
 * @returns the signal, which has been delivered; undefined when the access can be repeated
 */
export function* userFault(process: Process, address: VirtAddr, flags: number): Sleeps<Signal | undefined> {
  const { mm } = process;
  if (!mm)
    return deliver(process, "SIGSEGV", "SEGV_MAPERR", address, "the process has no address space any more");
  if (faultFast(mm, address, flags | FaultFlag.USER) === 0) return undefined;
  yield* mm.mmapLock.downRead();
  const vma = yield* findExtendVma(mm, address);
  const bad = badArea(vma, flags);
  if (!vma || bad) {
    mm.mmapLock.upRead();
    const reason = vma ? "the mapping doesn't allow it" : "nothing is mapped there";
    return deliver(process, "SIGSEGV", bad ?? "SEGV_MAPERR", address, reason);
  }
  const result = yield* handleMmFault(vma, address, flags | FaultFlag.USER);
  mm.mmapLock.upRead();
  if (process.killed) return process.signals.findLast((signal) => signal.signo === "SIGKILL");
  return (result & VM_FAULT_ERROR) === 0 ? undefined : yield* faultError(process, address, result);
}

/** @see access_error() */
function badArea(vma: Vma | undefined, flags: number): SignalCode | undefined {
  if (!vma) return "SEGV_MAPERR";
  const wanted = (flags & FaultFlag.WRITE) !== 0 ? VmFlag.WRITE : VmFlag.READ | VmFlag.EXEC | VmFlag.WRITE;
  return (vma.flags & wanted) === 0 ? "SEGV_ACCERR" : undefined;
}

/** @see fault_signal_pending(), do_sigbus() */
function* faultError(process: Process, address: VirtAddr, result: VmFault): Sleeps<Signal | undefined> {
  if ((result & VmFault.OOM) !== 0) {
    // The OOM killer chooses a victim, and the access is repeated.
    if (process.mm) yield* process.mm.vm.reclaim.pagefaultOutOfMemory(process);
    return process.killed ? process.signals.findLast((signal) => signal.signo === "SIGKILL") : undefined;
  }
  if ((result & VmFault.HWPOISON) !== 0) return badMemory(process, address);
  if ((result & VmFault.SIGBUS) !== 0)
    return deliver(process, "SIGBUS", "BUS_ADRERR", address, "nothing stands behind the address any more");
  return deliver(process, "SIGSEGV", "SEGV_MAPERR", address, "the mapping's driver refused it");
}

/** @see do_sigbus() with VM_FAULT_HWPOISON */
function badMemory(process: Process, address: VirtAddr): Signal {
  const { comm, mm, pid } = process;
  mm?.vm.kernel.log.printk(
    3,
    `MCE: Killing ${comm}:${pid} due to hardware memory corruption fault at ${address.toString(16)}`,
  );
  const page = (address - (address % PAGE_SIZE)) as VirtAddr;
  return deliver(process, "SIGBUS", "BUS_MCEERR_AR", page, "the page's memory is bad", PAGE_SHIFT);
}

function deliver(
  process: Process,
  signo: Signal["signo"],
  code: SignalCode,
  address: VirtAddr,
  reason: string,
  addressLsb?: number,
): Signal {
  const signal: Signal = {
    signo,
    code,
    address,
    reason,
    ...(addressLsb !== undefined && { addressLsb }),
  };
  process.deliver(signal);
  return signal;
}
