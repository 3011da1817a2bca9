// The physical address space drawn to scale: an axis, a lane for each node, for hidden memory, that of devices, firmware and
// registers, and one for the memory blocks. A column shows the kind of memory that fills most of it. A kind too thin for that
// gets the column that it fills best.
import { formatBytes, GiB, MiB, TiB } from "@hetmem/kernel";
import type { Paint } from "./paint.ts";
import { formatAddress } from "./size.ts";
import type { MachineView, Stretch, StretchKind } from "./view.ts";
import { wrap } from "./wrap.ts";

const GLYPHS: Readonly<Record<StretchKind, string>> = {
  DMA: "▚",
  DMA32: "▒",
  Normal: "█",
  Movable: "░",
  offline: "▁",
  hidden: "?",
  pmem: "▓",
  reserved: "◆",
  gpu: "●",
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
  ["reserved", "soft reserved"],
  ["gpu", "gpu memory"],
  ["firmware", "firmware"],
  ["device", "device registers"],
  ["online", "block online"],
];

const LABEL_WIDTH = 10;
/** Room for the address of a tick in the last column: "1.75T". */
const TICK_WIDTH = 5;
const TICK_COLUMNS_MIN = 9;
/** Memory of a gpu that begins at so many times the end of all other memory would leave no room for the rest. */
const FAR_FACTOR = 8;
const ZOOM_FROM = 16 * GiB;
const ZOOM_END = 4 * GiB;

/** Draws the map. @param width columns of the terminal */
export function physicalMapLines(view: MachineView, width: number, paint: Paint): string[] {
  const end = pictureEnd(view);
  const columns = Math.max(1, width - LABEL_WIDTH - TICK_WIDTH);
  const pictures = [drawLanes(view, { start: 0, end }, columns)];
  if (end > ZOOM_FROM) pictures.push(drawLanes(view, { start: 0, end: ZOOM_END }, columns));
  for (const window of farWindows(view, end)) pictures.push(drawLanes(view, window, columns));
  const [whole, ...others] = pictures.map((picture) => [...pictureLines(picture, view, paint)]);
  return [
    ...(whole ?? []),
    "",
    ...legend(pictures, width, paint),
    ...others.flatMap((lines, index) => {
      const { start } = pictures[index + 1] ?? { start: 0 };
      const title =
        start === 0 ? "The first 4 GiB of it, larger:" : `Far above, from ${formatAddress(start)}:`;
      return ["", paint.dim(title), "", ...lines];
    }),
    ...beyond(view, end, width, paint),
  ];
}

/** The end of the picture: RAM, hidden memory and memory of devices set the scale. */
function pictureEnd(view: MachineView): number {
  const memory = view.stretches.filter(isMemory);
  const near = Math.max(
    ...memory.filter(({ kind }) => kind !== "gpu").map((stretch) => stretch.end),
    16 * MiB,
  );
  const gpus = memory.filter(({ kind, start }) => kind === "gpu" && start < near * FAR_FACTOR);
  return Math.max(near, ...gpus.map((stretch) => stretch.end));
}

/** Private memory of gpus is at the top of the physical address space: each range has a picture of its own. */
function farWindows({ stretches }: MachineView, end: number): Window[] {
  return stretches
    .filter((stretch) => stretch.kind === "gpu" && stretch.start >= end)
    .sort((a, b) => a.start - b.start)
    .reduce<Window[]>((windows, { start, end: top }) => {
      const last = windows.at(-1);
      if (last && start - last.end <= last.end - last.start)
        windows[windows.length - 1] = { start: last.start, end: Math.max(last.end, top) };
      else windows.push({ start, end: top });
      return windows;
    }, []);
}

/** Registers of devices and firmware may be far above: they don't set the scale, and are listed. */
function isMemory({ lane }: Stretch): boolean {
  return lane !== "devices" && lane !== "firmware";
}

/** Bytes of a column: the smallest of 1, 1.5, 2, 3, 4, 6, 8… MiB with which the picture fits. */
function columnBytes(end: number, columns: number): number {
  // Ends: there is at least one column, and each turn doubles its bytes.
  for (let unit = MiB; ; unit *= 2) {
    for (const bytes of [unit, unit * 1.5]) {
      if (end / bytes <= columns) return bytes;
    }
  }
}

/** A part of the address space. */
interface Window {
  readonly start: number;
  readonly end: number;
}

interface Picture extends Window {
  /** Bytes a column. */
  readonly bytes: number;
  readonly lanes: readonly { readonly name: string; readonly kinds: readonly (StretchKind | undefined)[] }[];
}

function drawLanes({ stretches }: MachineView, { start, end }: Window, columnsMax: number): Picture {
  const bytes = columnBytes(end - start, columnsMax);
  const columns = Math.ceil((end - start) / bytes);
  const seen = stretches.filter((stretch) => stretch.start < end && stretch.end > start);
  return {
    start,
    end,
    bytes,
    lanes: lanes(seen).map((name) => ({
      name,
      kinds: fillLane(
        seen
          .filter(({ lane }) => lane === name)
          .map(({ kind, ...at }) => ({
            kind,
            start: Math.max(at.start, start) - start,
            end: Math.min(at.end, end) - start,
          })),
        bytes,
        columns,
      ),
    })),
  };
}

function* pictureLines(picture: Picture, view: MachineView, paint: Paint): Generator<string> {
  const { start, end, bytes } = picture;
  if (start === 0) yield* axis(end, bytes, Math.ceil(end / bytes), paint);
  for (const { name, kinds } of picture.lanes)
    yield `${paint.bold(name.padEnd(LABEL_WIDTH))}${paintKinds(kinds, paint)}`.trimEnd();
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

/** The lanes in order: nodes by number, other memory, firmware and devices, memory blocks. */
function lanes(stretches: readonly Stretch[]): string[] {
  const order = ["offline", "hidden", "pmem", "reserved", "gpus", "firmware", "devices", "blocks"];
  const rank = (lane: string): number =>
    lane.startsWith("node ") ? Number(lane.slice(5)) - 1e6 : order.indexOf(lane);
  return [...new Set(stretches.map(({ lane }) => lane))].sort((a, b) => rank(a) - rank(b));
}

/** The kind that fills most of each column; undefined for an empty one. A kind that fills most of no column gets one. */
function fillLane(
  stretches: readonly Pick<Stretch, "start" | "end" | "kind">[],
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
  const starts = new Map([...shares].map(([kind, share]) => [kind, share.findIndex((filled) => filled > 0)]));
  for (const [kind, share] of shares) if (!lane.includes(kind)) insertKind(lane, kind, share, starts);
  return lane;
}

/**
 * Gives a thin kind the column that it fills best, or the nearest one that isn't the only column of another kind. The kinds between
 * the two stay in the order of their addresses.
 *
 * @param starts the first column of each kind
 */
function insertKind(
  lane: (StretchKind | undefined)[],
  kind: StretchKind,
  share: Float64Array,
  starts: ReadonlyMap<StretchKind | undefined, number>,
): void {
  const best = share.indexOf(Math.max(...share));
  const isSpare = (column: number): boolean => {
    const there = lane[column];
    return there === undefined || lane.indexOf(there) !== lane.lastIndexOf(there);
  };
  for (let away = 0; away < lane.length; away++) {
    const column = [best + away, best - away].find((at) => at >= 0 && at < lane.length && isSpare(at));
    if (column === undefined) continue;
    lane[column] = kind;
    const first = Math.min(best, column);
    const moved = lane.slice(first, Math.max(best, column) + 1);
    moved.sort((a, b) => (starts.get(a) ?? 0) - (starts.get(b) ?? 0));
    lane.splice(first, moved.length, ...moved);
    return;
  }
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

/** The names of the signs that are drawn. */
function* legend(pictures: readonly Picture[], width: number, paint: Paint): Generator<string> {
  const shown = new Set(pictures.flatMap((picture) => picture.lanes.flatMap(({ kinds }) => kinds)));
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

/** Lines of /proc/iomem above the picture, so that all of it is shown. */
function* beyond(view: MachineView, end: number, width: number, paint: Paint): Generator<string> {
  const tops = view.stretches.filter(
    (stretch) => !isMemory(stretch) && stretch.start >= end && stretch.start >= ZOOM_END,
  );
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
