// lsmem: the ranges of memory that the blocks under /sys/devices/system/memory make up, with their state, as
// util-linux 2.38 prints them. It reads the tree and nothing else. User space counterpart: lsmem(1).
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { type Options, parseOptions } from "../options.ts";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";

const MEMORY = "/sys/devices/system/memory";

const LONG = {
  all: "a",
  bytes: "b",
  json: "J",
  noheadings: "n",
  output: "o",
  "output-all": "O",
  pairs: "P",
  raw: "r",
  split: "S",
  summary: "s",
};

type Column = "RANGE" | "SIZE" | "STATE" | "REMOVABLE" | "BLOCK" | "NODE" | "ZONES";

const COLUMNS: readonly Column[] = ["RANGE", "SIZE", "STATE", "REMOVABLE", "BLOCK", "NODE", "ZONES"];
/** Columns: a block with another value begins a new range. */
const SPLITTING: readonly Column[] = ["STATE", "REMOVABLE", "NODE", "ZONES"];
/** Least width of a column whose widest text is a value; a column whose heading is the widest has that width. */
const WIDTH_HINT: Readonly<Partial<Record<Column, number>>> = { SIZE: 5 };

/** Neighbouring blocks with the same values. */
interface MemoryRun {
  readonly first: number;
  last: number;
  readonly state: string;
  readonly removable: boolean;
  readonly node: string;
  readonly zones: string;
}

export const lsmem: Program = function* (io, args) {
  const options = parseOptions(args, "abJno:OPrS:s:", { long: LONG });
  const columns = chosenColumns(options);
  const split = options.values.has("S")
    ? parseColumns(options.values.get("S") ?? "")
    : SPLITTING.filter((column) => columns.includes(column));
  const blockBytes = Number.parseInt(yield* io.vfs.read(`${MEMORY}/block_size_bytes`), 16);
  const blocks = yield* readBlocks(io);
  const runs = mergeBlocks(blocks, options.flags.has("a") ? undefined : split);
  const summary = options.values.get("s") ?? "always";
  const rows = runs.map((run) => columns.map((column) => cell(run, column, blockBytes, options)));
  if (options.flags.has("J")) {
    io.out(formatJson(columns, rows, runs));
  } else if (summary !== "only") {
    io.out(formatRows(columns, rows, options));
  }
  const plain = !["J", "P", "r"].some((letter) => options.flags.has(letter));
  if (plain && summary !== "never") {
    if (summary !== "only") io.out("\n");
    io.out(formatSummary(blocks, blockBytes, options.flags.has("b")));
  }
  return 0;
};

function chosenColumns({ flags, values }: Options): readonly Column[] {
  if (flags.has("O")) return COLUMNS;
  const list = values.get("o");
  if (list === undefined) return COLUMNS.slice(0, 5);
  return list.startsWith("+") ? [...COLUMNS.slice(0, 5), ...parseColumns(list.slice(1))] : parseColumns(list);
}

function parseColumns(list: string): Column[] {
  return list.split(",").map((name) => {
    const column = COLUMNS.find((known) => known === name.toUpperCase());
    if (!column) throw new UsageProblem(`unknown column: ${name}`);
    return column;
  });
}

function* readBlocks(io: ProgramContext): Sleeps<MemoryRun[]> {
  const numbers = io.vfs
    .list(MEMORY)
    .flatMap(({ name }) => /^memory(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const blocks: MemoryRun[] = [];
  for (const number of numbers) {
    const directory = `${MEMORY}/memory${number}`;
    const node = io.vfs.list(directory).flatMap(({ name }) => /^node(\d+)$/.exec(name)?.[1] ?? [])[0];
    blocks.push({
      first: number,
      last: number,
      state: (yield* readValue(io, `${directory}/state`)) || "?",
      removable: (yield* readValue(io, `${directory}/removable`)) === "1",
      node: node ?? "",
      zones: zoneNames(yield* readValue(io, `${directory}/valid_zones`)),
    });
  }
  return blocks;
}

/** The text of a file, trimmed; "" where there is no such file. */
function* readValue(io: ProgramContext, path: string): Sleeps<string> {
  try {
    return (yield* io.vfs.read(path)).trim();
  } catch (error) {
    if (error instanceof KernelError) return "";
    throw error;
  }
}

function zoneNames(validZones: string): string {
  const names = validZones.split(/\s+/).filter(Boolean);
  return names.map((name) => (name === "none" ? "None" : name)).join("/");
}

/** @param split columns whose values begin a new range; undefined makes a range of each block */
function mergeBlocks(blocks: readonly MemoryRun[], split: readonly Column[] | undefined): MemoryRun[] {
  const runs: MemoryRun[] = [];
  for (const block of blocks) {
    const run = runs.at(-1);
    const alike =
      split !== undefined &&
      run?.last === block.first - 1 &&
      (!split.includes("STATE") || run.state === block.state) &&
      (!split.includes("REMOVABLE") || run.removable === block.removable) &&
      (!split.includes("NODE") || run.node === block.node) &&
      (!split.includes("ZONES") || run.zones === block.zones);
    if (run && alike) run.last = block.last;
    else runs.push({ ...block });
  }
  return runs;
}

function cell(run: MemoryRun, column: Column, blockBytes: number, { flags }: Options): string {
  switch (column) {
    case "RANGE":
      return `${address(run.first * blockBytes)}-${address((run.last + 1) * blockBytes - 1)}`;
    case "SIZE":
      return sizeText((run.last - run.first + 1) * blockBytes, flags.has("b"));
    case "STATE":
      return run.state === "going-offline" ? "on->off" : run.state;
    case "REMOVABLE":
      return run.state === "online" ? (run.removable ? "yes" : "no") : "";
    case "BLOCK":
      return run.first === run.last ? `${run.first}` : `${run.first}-${run.last}`;
    case "NODE":
      return run.node;
    case "ZONES":
      return run.zones;
  }
}

function address(bytes: number): string {
  return `0x${bytes.toString(16).padStart(16, "0")}`;
}

/** One digit behind the point, and none that is zero: 128M, 1.8G. */
function sizeText(bytes: number, exact: boolean): string {
  if (exact) return `${bytes}`;
  let unit = 0;
  let value = bytes;
  // Ends: each turn makes the value smaller.
  while (value >= 1024) {
    value /= 1024;
    unit++;
  }
  const tenths = Math.floor(value) * 10 + Math.floor(((value % 1) * 1000 + 50) / 100);
  return `${tenths % 10 === 0 ? tenths / 10 : (tenths / 10).toFixed(1)}${"BKMGTPE".charAt(unit)}`;
}

function formatRows(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { flags }: Options,
): string {
  if (flags.has("P")) {
    return rows
      .map((row) => `${row.map((text, index) => `${columns[index]}="${text}"`).join(" ")}\n`)
      .join("");
  }
  const lines = flags.has("n") ? rows : [columns, ...rows];
  if (flags.has("r")) return lines.map((row) => `${row.join(" ")}\n`).join("");
  const widths = columns.map((column, index) =>
    columnWidth(
      column,
      rows.map((row) => row[index]?.length ?? 0),
    ),
  );
  const format = (row: readonly string[]): string =>
    row
      .map((text, index) =>
        // Bounded: by the longest text of the column, a range or a size.
        columns[index] === "RANGE" ? text.padEnd(widths[index] ?? 0) : text.padStart(widths[index] ?? 0),
      )
      .join(" ");
  return lines.map((row) => `${format(row).trimEnd()}\n`).join("");
}

/** @see count_column_width() in libsmartcols/src/calculate.c of util-linux */
function columnWidth(column: Column, lengths: readonly number[]): number {
  const data = Math.max(0, ...lengths);
  if (data < column.length) return column.length;
  const hint = WIDTH_HINT[column] ?? 0;
  return column.length < hint ? Math.max(data, hint) : data;
}

function formatJson(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  runs: readonly MemoryRun[],
): string {
  const objects = rows.map((row, index) => {
    const fields = columns.map(
      (column, at) => `         "${column.toLowerCase()}": ${jsonValue(column, row[at] ?? "", runs[index])}`,
    );
    return `{\n${fields.join(",\n")}\n      }`;
  });
  return `{\n   "memory": [\n      ${objects.join(",")}\n   ]\n}\n`;
}

function jsonValue(column: Column, text: string, run: MemoryRun | undefined): string {
  if (column === "REMOVABLE") return text === "" ? "null" : `${run?.removable ?? false}`;
  if (column === "NODE" || (column === "SIZE" && /^\d+$/.test(text))) return text === "" ? "null" : text;
  return text === "" ? "null" : JSON.stringify(text);
}

function formatSummary(blocks: readonly MemoryRun[], blockBytes: number, exact: boolean): string {
  const online = blocks.filter(({ state }) => state === "online").length;
  const offline = blocks.length - online;
  const line = (label: string, bytes: number): string =>
    `${label.padEnd(23)} ${sizeText(bytes, exact).padStart(exact ? 15 : 5)}\n`;
  return (
    line("Memory block size:", blockBytes) +
    line("Total online memory:", online * blockBytes) +
    line("Total offline memory:", offline * blockBytes)
  );
}
