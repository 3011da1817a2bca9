// Messages of ndctl's commands on standard error, as error(), err() and the library's err() print them. User space counterparts:
// util/usage.c, err() in ndctl/namespace.c, util/log.c of ndctl.
import { errorLine } from "@hetmem/shell/tool";
import type { NdctlReport } from "../libndctl/report.ts";
import type { NdctlIo } from "./machine.ts";

export class PrintedReport implements NdctlReport {
  /** Reasons that stand in place of the command's last line. */
  failures = 0;
  readonly #io: NdctlIo;
  readonly #command: string;
  readonly #verbose: boolean;

  /** @param command "create namespace": what reasons begin with @param verbose `-v` */
  constructor(io: NdctlIo, command: string, verbose: boolean) {
    this.#io = io;
    this.#command = command;
    this.#verbose = verbose;
  }

  error(text: string): void {
    this.#io.err(errorLine(`${text}\n`));
  }

  failure(text: string): void {
    this.failures++;
    this.error(`${this.#command}: ${text}`);
  }

  warning(text: string): void {
    this.#io.err(`  Warning: ${text}\n\n`);
  }

  library(caller: string, text: string): void {
    this.#io.err(`libndctl: ${caller}: ${text}\n`);
  }

  debug(caller: string, text: string): void {
    if (this.#verbose) this.library(caller, text);
  }
}
