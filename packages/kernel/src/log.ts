// The kernel log: what dmesg prints. Kernel counterpart: kernel/printk/printk.c.
import type { Clock } from "./clock.ts";

/** syslog levels: 3 is an error, 4 a warning, 6 information. */
export type LogLevel = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

export interface LogRecord {
  readonly timeNs: number;
  readonly level: LogLevel;
  readonly text: string;
}

const RECORDS_MAX = 16_384;

export class KernelLog {
  readonly #clock: Clock;
  #records: LogRecord[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Appends one line, given without its newline. A full buffer drops its oldest quarter. */
  printk(level: LogLevel, text: string): void {
    this.#records.push({ timeNs: this.#clock.nowNs, level, text });
    if (this.#records.length > RECORDS_MAX) this.#records = this.#records.slice(RECORDS_MAX / 4);
  }

  get records(): readonly LogRecord[] {
    return this.#records;
  }

  /** The log in the format of dmesg, one line per record. */
  format(): string {
    return this.#records
      .map(({ timeNs, text }) => `[${(timeNs / 1e9).toFixed(6).padStart(12)}] ${text}\n`)
      .join("");
  }
}
