// ps: the processes, from /proc alone. Columns and their widths are as in procps; `-o` chooses columns.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { parseOptions } from "../options.ts";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";

interface Column {
  readonly title: string;
  /** Characters; the column is aligned to the right. Absent: aligned to the left. */
  readonly width?: number;
  /** The label of its line in /proc/PID/status. */
  readonly label: string;
}

const COLUMNS: Readonly<Record<string, Column>> = {
  pid: { title: "PID", width: 7, label: "Pid" },
  ppid: { title: "PPID", width: 7, label: "PPid" },
  vsz: { title: "VSZ", width: 6, label: "VmSize" },
  rss: { title: "RSS", width: 5, label: "VmRSS" },
  anon: { title: "ANON", width: 6, label: "RssAnon" },
  swap: { title: "SWAP", width: 6, label: "VmSwap" },
  stat: { title: "STAT", label: "State" },
  comm: { title: "COMMAND", label: "Name" },
};

export const ps: Program = function* (io, args) {
  const { values, operands } = parseOptions(args, "Aaeo:");
  if (operands.length > 0) throw new UsageProblem(`invalid argument '${operands[0]}'`);
  const columns = (values.get("o") ?? "pid,vsz,rss,comm").split(",").map(columnOf);
  io.out(lineOf(columns, ({ title }) => title));
  for (const pid of pidsOf(io)) {
    const status = yield* statusOf(io, pid);
    if (status) io.out(lineOf(columns, ({ label }) => status.get(label) ?? "0"));
  }
  return 0;
};

function columnOf(name: string): Column {
  const column = Object.hasOwn(COLUMNS, name) ? COLUMNS[name] : undefined;
  if (!column)
    throw new UsageProblem(`bad -o argument '${name}', supported: ${Object.keys(COLUMNS).join(",")}`);
  return column;
}

function pidsOf({ vfs }: ProgramContext): string[] {
  const names = vfs.list("/proc").map(({ name }) => name);
  return names.filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(a) - Number(b));
}

/** The lines of a status file, numbers without their unit; undefined when the process has gone meanwhile. */
function* statusOf({ vfs }: ProgramContext, pid: string): Sleeps<Map<string, string> | undefined> {
  let text: string;
  try {
    text = yield* vfs.read(`/proc/${pid}/status`);
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
  const lines = text.matchAll(/^(\w+):\s*(.*?)(?: kB| \(\w+\))?$/gm);
  return new Map([...lines].map(([, label = "", value = ""]) => [label, value]));
}

function lineOf(columns: readonly Column[], cell: (column: Column) => string): string {
  const cells = columns.map((column) =>
    // Bounded: the table of columns has the widths.
    column.width === undefined ? cell(column).padEnd(4) : cell(column).padStart(column.width),
  );
  return `${cells.join(" ").trimEnd()}\n`;
}
