// ulimit: shows and sets the resource limits of the shell, which its children inherit. User space counterpart:
// shell_builtin_ulimit() in shell/shell_common.c of busybox.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { BuiltinShell } from "./builtin.ts";
import type { ResourceLimit, ResourceLimits, ResourceName } from "./process-port.ts";
import { UsageProblem } from "./program.ts";
import { type Descriptors, outputOf } from "./streams.ts";

interface Shown {
  readonly name: ResourceName;
  readonly words: string;
  /** The unit in which the limit is shown and given: a number of bytes, seconds or pieces. */
  readonly unit: number;
}

/** By the letter of the option. Blocks are 512 bytes. */
const SHOWN: Readonly<Record<string, Shown>> = {
  c: { name: "core", words: "core file size (blocks)", unit: 512 },
  d: { name: "data", words: "data seg size (kb)", unit: 1024 },
  e: { name: "nice", words: "scheduling priority", unit: 1 },
  f: { name: "fsize", words: "file size (blocks)", unit: 512 },
  i: { name: "sigpending", words: "pending signals", unit: 1 },
  l: { name: "memlock", words: "max locked memory (kb)", unit: 1024 },
  m: { name: "rss", words: "max memory size (kb)", unit: 1024 },
  n: { name: "nofile", words: "open files", unit: 1 },
  q: { name: "msgqueue", words: "POSIX message queues (bytes)", unit: 1 },
  r: { name: "rtprio", words: "real-time priority", unit: 1 },
  s: { name: "stack", words: "stack size (kb)", unit: 1024 },
  t: { name: "cpu", words: "cpu time (seconds)", unit: 1 },
  u: { name: "nproc", words: "max user processes", unit: 1 },
  v: { name: "as", words: "virtual memory (kb)", unit: 1024 },
  x: { name: "locks", words: "file locks", unit: 1 },
};
/** The limit of `ulimit` without a letter. */
const USUAL = "f";

/** The limits that an option selects: soft, hard or both. */
interface Sides {
  readonly soft: boolean;
  readonly hard: boolean;
}

/** A limit to show, or to set where there is a value. */
interface Request {
  readonly letter: string;
  readonly value: string | undefined;
}

export function* ulimit(shell: BuiltinShell, args: readonly string[], io: Descriptors): Sleeps<number> {
  const rlimits = shell.machine.processes?.rlimits;
  if (!rlimits) throw new UsageProblem("ulimit: this machine has no processes");
  const { sides, requests } = parse(args);
  const out = outputOf(io, 1);
  for (const { letter, value } of requests) {
    const shown = shownBy(letter);
    const limit = rlimits.get(shown.name);
    if (value === undefined) {
      const label = requests.length > 1 ? `${shown.words.padEnd(32)}(-${letter}) ` : "";
      out.write(`${label}${textOf(sides.soft ? limit.soft : limit.hard, shown.unit)}\n`);
      continue;
    }
    refuseIdle(shown, rlimits);
    const bound = boundOf(value, shown.unit);
    try {
      rlimits.set(shown.name, changed(limit, sides, bound));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new UsageProblem(`error setting limit: ${strerror(error.errno)}`);
    }
  }
  return 0;
}

/** Without -H and -S, both limits are set and the soft one is shown. */
function parse(args: readonly string[]): { readonly sides: Sides; readonly requests: readonly Request[] } {
  const letters: string[] = [];
  const values = new Map<string, string>();
  const picked = new Set<string>();
  for (const argument of args) {
    if (!argument.startsWith("-") || argument === "-") {
      values.set(letters.at(-1) ?? USUAL, argument);
      continue;
    }
    for (const letter of argument.slice(1)) {
      if (letter === "H" || letter === "S") picked.add(letter);
      else if (letter === "a") letters.push(...Object.keys(SHOWN));
      else if (Object.hasOwn(SHOWN, letter)) letters.push(letter);
      else throw new UsageProblem(`ulimit: invalid option -- '${letter}'`);
    }
  }
  if (letters.length === 0) letters.push(USUAL);
  return {
    sides: { soft: picked.has("S") || !picked.has("H"), hard: picked.has("H") || !picked.has("S") },
    requests: letters.map((letter) => ({ letter, value: values.get(letter) })),
  };
}

function shownBy(letter: string): Shown {
  const shown = SHOWN[letter];
  if (!shown) throw new UsageProblem(`ulimit: invalid option -- '${letter}'`);
  return shown;
}

/** Refuses to set a limit that nothing on this machine checks. */
function refuseIdle({ name, words }: Shown, { honoured }: ResourceLimits): void {
  if (honoured.has(name)) return;
  const settable = Object.keys(SHOWN).filter((letter) => honoured.has(shownBy(letter).name));
  throw new UsageProblem(
    `ulimit: ${words}: nothing on this machine goes by it; those that hold are ${settable.map((letter) => `-${letter}`).join(", ")}`,
  );
}

/** @returns bytes, seconds or pieces */
function boundOf(value: string, unit: number): number {
  if (value === "unlimited") return Number.POSITIVE_INFINITY;
  const bound = Number(value) * unit;
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(bound))
    throw new UsageProblem(`invalid number '${value}'`);
  return bound;
}

function changed({ soft, hard }: ResourceLimit, sides: Sides, bound: number): ResourceLimit {
  return { soft: sides.soft ? bound : soft, hard: sides.hard ? bound : hard };
}

function textOf(bound: number, unit: number): string {
  return bound === Number.POSITIVE_INFINITY ? "unlimited" : `${Math.floor(bound / unit)}`;
}
