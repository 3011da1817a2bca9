// Rate-limited logging: `burst` lines within five seconds, then the number of suppressed lines. Kernel counterpart:
// ___ratelimit() in lib/ratelimit.c.
import type { Kernel } from "./kernel.ts";
import type { LogLevel } from "./log.ts";

const INTERVAL_NS = 5_000_000_000;

export class RatelimitedLog {
  readonly #kernel: Kernel;
  readonly #burst: number;
  readonly #name: string;
  #begin: number | undefined = undefined;
  #printed = 0;
  #missed = 0;

  /** @param burst lines within five seconds @param name function named in the line "callbacks suppressed" */
  constructor(kernel: Kernel, burst: number, name: string) {
    this.#kernel = kernel;
    this.#burst = burst;
    this.#name = name;
  }

  /** @see printk_ratelimited() */
  printk(level: LogLevel, text: string): void {
    const { clock, log } = this.#kernel;
    if (this.#begin === undefined || clock.nowNs - this.#begin > INTERVAL_NS) {
      if (this.#missed > 0) log.printk(4, `${this.#name}: ${this.#missed} callbacks suppressed`);
      this.#begin = clock.nowNs;
      this.#printed = 0;
      this.#missed = 0;
    }
    if (this.#printed >= this.#burst) {
      this.#missed++;
      return;
    }
    this.#printed++;
    log.printk(level, text);
  }
}
