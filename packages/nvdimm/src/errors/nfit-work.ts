// Pending work of the NFIT driver: machine checks not yet reported, and requested scrubs. The caller of runNfitWork()
// acts as the workqueue. Kernel counterpart: struct acpi_nfit_desc in drivers/acpi/nfit/nfit.h.
import { type Kernel, Mutex, WaitQueue } from "@hetmem/kernel";

/** A short scrub reads the firmware's list of errors; a long one reads all memory. @see enum nfit_ars_state */
export type ScrubKind = "short" | "long";

export class NfitWork {
  /** @see acpi_desc->init_mutex */
  readonly initMutex: Mutex;
  /** Requested scrubs: `region0 long`. */
  readonly requested = new Set<string>();
  /** Physical addresses of machine checks. */
  readonly errors: number[] = [];
  /** Whether every machine check starts a scrub. @see hw_error_scrub_store() */
  scrubOnError = false;
  /** Number of completed scrubs. */
  scrubCount = 0;
  /** Whether a task is in runNfitWork(). */
  running = false;
  /** Whether a scrub is requested or running: ARS_BUSY. */
  scrubBusy = false;
  readonly idle: WaitQueue;
  readonly #onWork: () => void;

  constructor(kernel: Kernel, onWork: () => void = () => {}) {
    this.initMutex = new Mutex(kernel.lockdep, "acpi_nfit init_mutex");
    this.idle = new WaitQueue("the nfit workqueue");
    this.#onWork = onWork;
  }

  /** Queues a machine check at a physical address. @see nfit_handle_mce() in drivers/acpi/nfit/mce.c */
  machineCheck(address: number): void {
    this.errors.push(address);
    this.schedule();
  }

  /** Schedules runNfitWork(). @see queue_delayed_work() */
  schedule(): void {
    this.#onWork();
  }

  get pending(): boolean {
    return this.requested.size > 0 || this.errors.length > 0 || this.scrubBusy;
  }
}
