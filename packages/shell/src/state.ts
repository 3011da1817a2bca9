// The state of a shell between commands: variables, functions, options, the directory. A subshell works on a copy, so its
// changes are not seen outside.
import { MiB } from "@hetmem/kernel";
import { outOfMemory, VARIABLES_MAX } from "./held.ts";

/** Bytes of a value for which the sizes of all other values are added up and checked against VARIABLES_MAX. */
const LARGE = 65_536;

export interface ShellOptions {
  /** `set -e`: a command that fails ends the shell. */
  errexit: boolean;
  /** `set -u`: a parameter that isn't set is an error. */
  nounset: boolean;
  /** `set -x`: commands are shown before they run. */
  xtrace: boolean;
}

export class ShellState<F = unknown> {
  readonly variables = new Map<string, string>([
    ["HOME", "/"],
    ["IFS", " \t\n"],
    ["PATH", "/sbin:/usr/sbin:/bin:/usr/bin"],
    ["PS1", "# "],
    ["PWD", "/"],
  ]);
  readonly exported = new Set(["HOME", "PATH", "PWD"]);
  /** Bodies of functions. */
  readonly functions = new Map<string, F>();
  readonly options: ShellOptions = { errexit: false, nounset: false, xtrace: false };
  positional: readonly string[] = [];
  cwd = "/";
  /** `$?` */
  status = 0;
  /** The values that `local` hides, a map for each function, the innermost last. */
  readonly hidden: Map<string, string | undefined>[] = [];

  copy(): ShellState<F> {
    const copy = new ShellState<F>();
    copy.variables.clear();
    for (const [name, value] of this.variables) copy.variables.set(name, value);
    for (const name of this.exported) copy.exported.add(name);
    for (const [name, body] of this.functions) copy.functions.set(name, body);
    Object.assign(copy.options, this.options);
    copy.positional = this.positional;
    copy.cwd = this.cwd;
    copy.status = this.status;
    return copy;
  }

  get environment(): ReadonlyMap<string, string> {
    return new Map([...this.variables].filter(([name]) => this.exported.has(name)));
  }

  /** @throws ShellProblem when all variables together would have more than VARIABLES_MAX bytes */
  assign(name: string, value: string): void {
    let bytes = value.length;
    if (value.length > LARGE) {
      for (const [other, { length }] of this.variables) if (other !== name) bytes += length;
      if (bytes > VARIABLES_MAX)
        outOfMemory("the values of all variables together", `${VARIABLES_MAX / MiB} MiB`);
    }
    this.variables.set(name, value);
  }

  /** A path as the file system takes it. */
  absolute(path: string): string {
    if (path.startsWith("/")) return path;
    return this.cwd === "/" ? `/${path}` : `${this.cwd}/${path}`;
  }

  /** The value behind `$name`; undefined when it isn't set. */
  parameter(name: string): string | undefined {
    switch (name) {
      case "?":
        return `${this.status}`;
      case "#":
        return `${this.positional.length}`;
      case "$":
        return "1";
      case "!":
        return undefined;
      case "-":
        return Object.entries({ e: this.options.errexit, u: this.options.nounset, x: this.options.xtrace })
          .filter(([, on]) => on)
          .map(([letter]) => letter)
          .join("");
      case "@":
      case "*":
        return this.positional.length > 0 ? this.positional.join(" ") : undefined;
      case "0":
        return "sh";
      default:
        return /^\d+$/.test(name) ? this.positional[Number(name) - 1] : this.variables.get(name);
    }
  }
}
