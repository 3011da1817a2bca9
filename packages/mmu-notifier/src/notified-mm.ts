// Port: an address space, with what notifiers need of it: its locks, its page table and its list of notifiers. MmStruct
// of the mm package implements it. Kernel counterpart: struct mm_struct in include/linux/mm_types.h, as
// mm/mmu_notifier.c uses it.
import type { Kernel, RwSemaphore, Sleeps } from "@hetmem/kernel";
import type { PageTable } from "@hetmem/page-table";
import type { Srcu } from "./srcu.ts";
import type { NotifierSubscriptions } from "./subscriptions.ts";

/** The machine that an address space belongs to. */
export interface NotifiedMachine {
  readonly kernel: Kernel;
  /** Read lock around callbacks: unregistering a notifier waits for its readers. */
  readonly notifierSrcu: Srcu;
}

/** Port: an address space. @see struct mm_struct */
export interface NotifiedMm {
  /** Number of the address space, for messages. */
  readonly id: number;
  readonly vm: NotifiedMachine;
  /** Tasks that run in the address space; 0 after the last one has ended. @see mm_users */
  readonly users: number;
  readonly pageTable: PageTable;
  readonly mmapLock: RwSemaphore;
  /** Undefined until the first notifier is registered. @see notifier_subscriptions */
  notifiers: NotifierSubscriptions | undefined;
  /**
   * Takes every rmap lock under which an entry of the address space could change. The mmap lock is held for writing.
   *
   * @returns the locks, each held for writing; the caller releases them
   * @see mm_take_all_locks() in mm/mmap.c
   */
  takeAllLocks(): Sleeps<readonly RwSemaphore[]>;
  /**
   * Checks that the mmap lock is held for writing.
   *
   * @param what action of the caller, for the message: "gets a notifier"
   * @throws KernelBug if the lock isn't held for writing
   */
  assertWriteLocked(what: string): void;
}
