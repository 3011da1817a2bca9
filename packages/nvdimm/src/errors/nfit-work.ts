// What the firmware's driver has still to do: memory errors that were met and not yet told to anybody, and scrubs that were asked
// for. Whoever drives it is a workqueue. Kernel counterpart: struct acpi_nfit_desc in drivers/acpi/nfit/nfit.h.
import { type Kernel, Mutex, WaitQueue } from "@hetmem/kernel";

/** A short scrub asks the firmware for what it knows; a long one reads all of the memory. @see enum nfit_ars_state */
export type ScrubKind = "short" | "long";

export class NfitWork {
  /** @see acpi_desc->init_mutex */
  readonly initMutex: Mutex;
  /** Scrubs that are asked for: `region0 long`. */
  readonly requested = new Set<string>();
  /** Physical addresses at which a cpu met an error. */
  readonly errors: number[] = [];
  /** Whether every memory error starts a scrub. @see hw_error_scrub_store() */
  scrubOnError = false;
  /** Runs that have been completed. */
  scrubCount = 0;
  /** Whether somebody works on it now. */
  running = false;
  /** Whether a scrub is wanted or runs: ARS_BUSY. */
  scrubBusy = false;
  readonly idle: WaitQueue;
  readonly #onWork: () => void;

  constructor(kernel: Kernel, onWork: () => void = () => {}) {
    this.initMutex = new Mutex(kernel.lockdep, "acpi_nfit init_mutex");
    this.idle = new WaitQueue("the nfit workqueue");
    this.#onWork = onWork;
  }

  /** A cpu met an error at this physical address. @see nfit_handle_mce() in drivers/acpi/nfit/mce.c */
  machineCheck(address: number): void {
    this.errors.push(address);
    this.schedule();
  }

  /** Something is there to be done. @see queue_delayed_work() */
  schedule(): void {
    this.#onWork();
  }

  get pending(): boolean {
    return this.requested.size > 0 || this.errors.length > 0 || this.scrubBusy;
  }
}
