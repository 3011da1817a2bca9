// The physical address space drawn to scale: an axis, a lane for each node, for hidden memory, firmware and devices, and one
// for the memory blocks. A column of the picture shows what fills most of it; a kind too thin to win any column gets the one
// that it fills best.
import { GiB, MiB, TiB } from "@hetmem/kernel";
import type { Paint } from "./paint.ts";
import { formatAddress, formatBytes } from "./size.ts";
import type { MachineView, Stretch, StretchKind } from "./view.ts";
import { wrap } from "./wrap.ts";

const GLYPHS: Readonly<Record<StretchKind, string>> = {
  DMA: "▚",
  DMA32: "▒",
  Normal: "█",
  Movable: "░",
  Device: "◆",
  offline: "▁",
  hidden: "?",
  pmem: "▓",
  firmware: "▪",
  device: "─",
  online: "■",
};

const LEGEND: readonly (readonly [StretchKind, string])[] = [
  ["DMA", "DMA"],
  ["DMA32", "DMA32"],
  ["Normal", "Normal"],
  ["Movable", "Movable"],
  ["offline", "offline"],
  ["hidden", "hidden, can be probed"],
  ["pmem", "persistent"],
  ["online", "block online"],
];

const LABEL_WIDTH = 10;
/** Room for the address of a tick in the last column: "1.75T". */
const TICK_WIDTH = 5;
const TICK_COLUMNS_MIN = 9;
const ZOOM_FROM = 16 * GiB;
const ZOOM_END = 4 * GiB;

/** Draws the map. @param width columns of the terminal */
export function physicalMapLines(view: MachineView, width: number, paint: Paint): string[] {
  const end = pictureEnd(view);
  const columns = width - LABEL_WIDTH - TICK_WIDTH;
  const lines = [...picture(view, end, columns, paint), "", ...legend(view, width, paint)];
  if (end > ZOOM_FROM)
    lines.push(
      "",
      paint.dim("The first 4 GiB of it, larger:"),
      "",
      ...picture(view, ZOOM_END, columns, paint),
    );
  lines.push(...beyond(view, end, width, paint));
  return lines;
}

/** RAM, hidden and persistent memory set the scale; windows of devices may lie far above and are listed instead. */
function pictureEnd(view: MachineView): number {
  const memory = view.stretches.filter(({ lane }) => lane !== "devices" && lane !== "firmware");
  return Math.max(...memory.map((stretch) => stretch.end), 16 * MiB);
}

/** Bytes a column: the smallest of 1, 1.5, 2, 3, 4, 6, 8… MiB with which all fits. */
function columnBytes(end: number, columns: number): number {
  for (let unit = MiB; ; unit *= 2) {
    for (const bytes of [unit, unit * 1.5]) {
      if (end / bytes <= columns) return bytes;
    }
  }
}

function* picture(view: MachineView, end: number, columnsMax: number, paint: Paint): Generator<string> {
  const bytes = columnBytes(end, columnsMax);
  const columns = Math.ceil(end / bytes);
  yield* axis(end, bytes, columns, paint);
  for (const lane of lanes(view.stretches.filter((stretch) => stretch.start < end))) {
    const stretches = view.stretches.filter((stretch) => stretch.lane === lane && stretch.start < end);
    const kinds = fillLane(stretches, bytes, columns);
    yield `${paint.bold(lane.padEnd(LABEL_WIDTH))}${paintKinds(kinds, paint)}`.trimEnd();
  }
  yield paint.dim(
    `${" ".repeat(LABEL_WIDTH)}one column is ${formatBytes(bytes)}, one memory block ${formatBytes(view.blockSize)}`,
  );
}

/** Two lines: the addresses, and a rule with a tick below each. */
function* axis(end: number, bytes: number, columns: number, paint: Paint): Generator<string> {
  let step = bytes;
  for (let unit = MiB; step < bytes * TICK_COLUMNS_MIN; unit *= 2) step = unit;
  let words = "";
  const rule = Array.from({ length: columns }, () => "─");
  for (let at = 0; at <= end; at += step) {
    const column = Math.round(at / bytes);
    words = words.padEnd(column) + formatTick(at);
    if (column < columns) rule[column] = at === 0 ? "├" : "┼";
  }
  // A tick in the last column is the end itself.
  if (rule.at(-1) === "┼") rule.pop();
  yield " ".repeat(LABEL_WIDTH) + paint.dim(words);
  yield " ".repeat(LABEL_WIDTH) + paint.dim(`${rule.join("")}┤`);
}

function formatTick(bytes: number): string {
  for (const [suffix, unit] of [
    ["T", TiB],
    ["G", GiB],
    ["M", MiB],
  ] as const) {
    if (bytes >= unit && bytes % (unit / 4) === 0) return `${bytes / unit}${suffix}`;
  }
  return "0";
}

/** Nodes first and by number, then what surrounds them; blocks last. */
function lanes(stretches: readonly Stretch[]): string[] {
  const order = ["offline", "hidden", "pmem", "firmware", "devices", "blocks"];
  const rank = (lane: string): number =>
    lane.startsWith("node ") ? Number(lane.slice(5)) - 1e6 : order.indexOf(lane);
  return [...new Set(stretches.map(({ lane }) => lane))].sort((a, b) => rank(a) - rank(b));
}

/** The kind that fills most of each column; undefined where nothing is. */
function fillLane(
  stretches: readonly Stretch[],
  bytes: number,
  columns: number,
): (StretchKind | undefined)[] {
  const shares = new Map<StretchKind, Float64Array>();
  for (const { start, end, kind } of stretches) {
    let share = shares.get(kind);
    if (!share) shares.set(kind, (share = new Float64Array(columns)));
    for (let column = Math.floor(start / bytes); column < columns && column * bytes < end; column++) {
      share[column] =
        (share[column] ?? 0) + Math.min(end, (column + 1) * bytes) - Math.max(start, column * bytes);
    }
  }
  const lane = Array.from({ length: columns }, (_, column) => largest(shares, column));
  for (const [kind, share] of shares) {
    if (!lane.includes(kind)) lane[share.indexOf(Math.max(...share))] = kind;
  }
  return lane;
}

function largest(shares: ReadonlyMap<StretchKind, Float64Array>, column: number): StretchKind | undefined {
  let best: StretchKind | undefined;
  let most = 0;
  for (const [kind, share] of shares) {
    const here = share[column] ?? 0;
    if (here > most) [best, most] = [kind, here];
  }
  return best;
}

/** Glyphs in runs, so that a run is coloured once. */
function paintKinds(kinds: readonly (StretchKind | undefined)[], paint: Paint): string {
  let text = "";
  for (let at = 0; at < kinds.length;) {
    const kind = kinds[at];
    let end = at + 1;
    while (end < kinds.length && kinds[end] === kind) end++;
    text += kind ? paint.kind(kind, GLYPHS[kind].repeat(end - at)) : " ".repeat(end - at);
    at = end;
  }
  return text;
}

/** What the glyphs mean, of those in use. */
function* legend(view: MachineView, width: number, paint: Paint): Generator<string> {
  const shown = new Set(view.stretches.map(({ kind }) => kind));
  const indent = " ".repeat(LABEL_WIDTH);
  let line = "";
  let length = 0;
  for (const [kind, name] of LEGEND.filter(([each]) => shown.has(each))) {
    if (LABEL_WIDTH + length + name.length + 2 > width) {
      yield indent + line.trimEnd();
      [line, length] = ["", 0];
    }
    line += `${paint.kind(kind, GLYPHS[kind])} ${name}   `;
    length += name.length + 5;
  }
  yield indent + line.trimEnd();
}

/** What lies above the picture, so that nothing of /proc/iomem goes unseen. */
function* beyond(view: MachineView, end: number, width: number, paint: Paint): Generator<string> {
  const tops = view.stretches.filter((stretch) => stretch.start >= end && stretch.start >= ZOOM_END);
  // Of lines as long as each other, one inside the other, the first stands for all.
  const outermost = tops.filter(
    (stretch, at) =>
      !tops.some(
        (other, before) =>
          other !== stretch &&
          other.start <= stretch.start &&
          stretch.end <= other.end &&
          (before < at || other.end - other.start > stretch.end - stretch.start),
      ),
  );
  if (outermost.length === 0) return;
  const places = outermost.map(
    ({ start, end: top, lane }) => `${lane} at ${formatAddress(start)} (${formatBytes(top - start)})`,
  );
  const indent = " ".repeat(LABEL_WIDTH);
  yield* wrap(`Above the picture: ${places.join(", ")}`, width - LABEL_WIDTH, "  ").map((line) =>
    paint.dim(indent + line),
  );
}
