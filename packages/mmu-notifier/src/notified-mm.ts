// Port: an address space as notifiers know it. MmStruct of the mm package is one. Kernel counterpart: struct mm_struct in
// include/linux/mm_types.h, as mm/mmu_notifier.c uses it.
import type { Kernel, RwSemaphore, Sleeps } from "@hetmem/kernel";
import type { PageTable } from "@hetmem/page-table";
import type { Srcu } from "./srcu.ts";
import type { NotifierSubscriptions } from "./subscriptions.ts";

/** The machine that address spaces are of. */
export interface NotifiedMachine {
  readonly kernel: Kernel;
  /** Callbacks run inside it. */
  readonly notifierSrcu: Srcu;
}

export interface NotifiedMm {
  /** For messages. */
  readonly id: number;
  readonly vm: NotifiedMachine;
  /** Tasks that run in it; 0 once its last one has ended. @see mm_users */
  readonly users: number;
  readonly pageTable: PageTable;
  readonly mmapLock: RwSemaphore;
  /** Undefined until the first notifier comes. @see notifier_subscriptions */
  notifiers: NotifierSubscriptions | undefined;
  /**
   * Takes every lock under which an entry could change by way of its page. The mmap lock is held for writing.
   *
   * @returns the locks, each held for writing: the caller releases them
   * @see mm_take_all_locks() in mm/mmap.c
   */
  takeAllLocks(): Sleeps<readonly RwSemaphore[]>;
  /** @param what the caller does: "gets a notifier" @throws KernelBug unless the mmap lock is held for writing */
  assertWriteLocked(what: string): void;
}
