// prlimit: shows and sets resource limits of a process, or of a command that it starts. User space counterpart:
// sys-utils/prlimit.c of util-linux.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { HONOURED_RLIMITS, type ProcessRights, type Rlimit, type RlimitName, RLIMITS } from "@hetmem/mm";
import { UsageProblem } from "@hetmem/shell";
import { type Program, type ProgramContext, userSpaceOf } from "./machine-program.ts";

/** In the order of the whole table, with the words for each. */
const DESCRIPTIONS: Readonly<Record<RlimitName, string>> = {
  as: "address space limit",
  core: "max core file size",
  cpu: "CPU time",
  data: "max data size",
  fsize: "max file size",
  locks: "max number of file locks held",
  memlock: "max locked-in-memory address space",
  msgqueue: "max bytes in POSIX mqueues",
  nice: "max nice prio allowed to raise",
  nofile: "max number of open files",
  nproc: "max number of processes",
  rss: "max resident set size",
  rtprio: "max real-time priority",
  rttime: "timeout for real-time tasks",
  sigpending: "max number of pending signals",
  stack: "max stack size",
};
const ALL = Object.keys(DESCRIPTIONS) as RlimitName[];
const LETTERS: Readonly<Record<string, RlimitName>> = {
  c: "core",
  d: "data",
  e: "nice",
  f: "fsize",
  i: "sigpending",
  l: "memlock",
  m: "rss",
  n: "nofile",
  q: "msgqueue",
  r: "rtprio",
  s: "stack",
  t: "cpu",
  u: "nproc",
  v: "as",
  x: "locks",
  y: "rttime",
};
const COLUMNS = ["RESOURCE", "DESCRIPTION", "SOFT", "HARD", "UNITS"] as const;
type ColumnName = (typeof COLUMNS)[number];
const FIRST_PID = 1;

/** A parsed command line. */
interface Call {
  pid: number | undefined;
  columns: readonly ColumnName[];
  headings: boolean;
  raw: boolean;
  verbose: boolean;
  /** Limits to show, and with a value to set, in the order in which they were named. */
  readonly resources: { readonly name: RlimitName; readonly value: string | undefined }[];
  command: readonly string[];
}

export const prlimit: Program = function* (io, args) {
  const call = parse(args);
  if (call.pid !== undefined && call.command.length > 0)
    throw new UsageProblem("options --pid and COMMAND are mutually exclusive");
  const { rlimits } = rightsOf(io, call.pid, call.resources[0]);
  const shown: RlimitName[] = call.resources.length === 0 && call.command.length === 0 ? ALL : [];
  for (const { name, value } of call.resources)
    if (value === undefined) shown.push(name);
    else change(io, call, name, limitOf(name, value, rlimits.get(name)));
  if (shown.length > 0) io.out(table(call, shown, (name) => rlimits.get(name)));
  return yield* start(io, call.command);
};

function* start(io: ProgramContext, [command, ...args]: readonly string[]): Sleeps<number> {
  return command === undefined ? 0 : yield* io.exec(command, ...args);
}

/** The limits of a process; pid 1 is the shell. @throws UsageProblem for a pid that no process has */
function rightsOf(
  io: ProgramContext,
  pid: number | undefined,
  first: Call["resources"][number] | undefined,
): ProcessRights {
  const { rights, vm } = userSpaceOf(io);
  if (pid === undefined || pid === 0) return rights;
  const process = pid === FIRST_PID ? vm.processes.init : vm.processes.find(pid);
  if (process) return process;
  const what = first?.value === undefined ? "get" : "set";
  throw new UsageProblem(
    `failed to ${what} the ${(first?.name ?? "as").toUpperCase()} resource limit: ${strerror("ESRCH")}`,
  );
}

/** Sets a limit. A limit that nothing on this machine checks is refused. */
function change(io: ProgramContext, { pid, verbose }: Call, name: RlimitName, limit: Rlimit): void {
  const title = name.toUpperCase();
  if (!HONOURED_RLIMITS.has(name))
    throw new UsageProblem(
      `nothing on this machine goes by ${title}; the limits that hold are ${[...HONOURED_RLIMITS].join(", ")}`,
    );
  try {
    rightsOf(io, pid, undefined).rlimits.set(name, limit, userSpaceOf(io).rights.credentials);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new UsageProblem(
      error.errno === "EINVAL"
        ? `the soft limit ${title} cannot exceed the hard limit`
        : `failed to set the ${title} resource limit: ${strerror(error.errno)}`,
    );
  }
  if (verbose)
    io.out(`New ${title} limit for pid ${pid ?? 0}: <${textOf(limit.soft)}:${textOf(limit.hard)}>\n`);
}

/** `soft:hard`, `soft:`, `:hard`, or one value for both. */
function limitOf(name: RlimitName, text: string, { soft, hard }: Rlimit): Rlimit {
  const [, left = "", colon, right = ""] = /^([^:]*)(?:(:)(.*))?$/.exec(text) ?? [];
  const bound = (value: string): number => {
    if (value === "unlimited" || value === "-1") return Number.POSITIVE_INFINITY;
    const number = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(number))
      throw new UsageProblem(`failed to parse ${name.toUpperCase()} limit`);
    return number;
  };
  if (colon === undefined) return { soft: bound(left), hard: bound(left) };
  if (left === "" && right === "") throw new UsageProblem(`failed to parse ${name.toUpperCase()} limit`);
  return { soft: left === "" ? soft : bound(left), hard: right === "" ? hard : bound(right) };
}

function parse(args: readonly string[]): Call {
  const call: Call = {
    pid: undefined,
    columns: COLUMNS,
    headings: true,
    raw: false,
    verbose: false,
    resources: [],
    command: [],
  };
  const rest = [...args];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--") call.command = rest.splice(0);
    else if (!argument.startsWith("-") || argument === "-") call.command = [argument, ...rest.splice(0)];
    else takeOption(call, argument, () => rest.shift());
  }
  return call;
}

function takeOption(call: Call, argument: string, next: () => string | undefined): void {
  const [, long, shortName, value] = /^-(?:-([^=]+)|(.))=?(.+)?$/s.exec(argument) ?? [];
  const name = long ?? shortName ?? "";
  const given = (): string => {
    const text = value ?? next();
    if (text === undefined) throw new UsageProblem(`option '${argument}' requires an argument`);
    return text;
  };
  const resource = long === undefined ? LETTERS[name] : ALL.find((known) => known === long);
  if (resource) call.resources.push({ name: resource, value });
  else if (name === "pid" || name === "p") call.pid = pidOf(given());
  else if (name === "output" || name === "o") call.columns = columnsOf(given());
  else if (name === "noheadings") call.headings = false;
  else if (name === "raw") call.raw = true;
  else if (name === "verbose") call.verbose = true;
  else
    throw new UsageProblem(
      long === undefined ? `invalid option -- '${name}'` : `unrecognized option '--${name}'`,
    );
}

function pidOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageProblem(`invalid PID argument: '${text}'`);
}

function columnsOf(text: string): ColumnName[] {
  return text.split(",").map((word) => {
    const column = COLUMNS.find((known) => known === word.toUpperCase());
    if (!column) throw new UsageProblem(`unknown column: ${word}`);
    return column;
  });
}

/** Numbers stand to the right; nothing pads the last column. */
function table(
  { columns, headings, raw }: Call,
  names: readonly RlimitName[],
  find: (name: RlimitName) => Rlimit,
): string {
  const rows = names.map((name) => columns.map((column) => cell(column, name, find(name))));
  const lines = headings ? [[...columns], ...rows] : rows;
  if (raw)
    return lines
      .map((row) => `${row.map((text) => text.replaceAll(" ", String.raw`\x20`)).join(" ")}\n`)
      .join("");
  const widths = columns.map((_, at) => Math.max(...lines.map((row) => row[at]?.length ?? 0)));
  const padded = (text: string, at: number): string => {
    const width = widths[at] ?? 0;
    // Bounded: by the longest text of the column, words of a limit or a number.
    if (columns[at] === "SOFT" || columns[at] === "HARD") return text.padStart(width);
    // Bounded: likewise.
    return at === columns.length - 1 ? text : text.padEnd(width);
  };
  return lines.map((row) => `${row.map(padded).join(" ")}\n`).join("");
}

function cell(column: ColumnName, name: RlimitName, { soft, hard }: Rlimit): string {
  switch (column) {
    case "RESOURCE":
      return name.toUpperCase();
    case "DESCRIPTION":
      return DESCRIPTIONS[name];
    case "SOFT":
      return textOf(soft);
    case "HARD":
      return textOf(hard);
    case "UNITS":
      return name === "rttime" ? "microsecs" : (RLIMITS[name][1] ?? "");
  }
}

function textOf(bound: number): string {
  return bound === Number.POSITIVE_INFINITY ? "unlimited" : `${bound}`;
}
