// The house as a picture, drawn from the imports: a row for each floor, a box for each package as wide as it has lines, and an
// arrow for each import that doesn't follow from others.
import { join } from "node:path";
import { FLOORS } from "./floors.ts";
import { packageOf, packages, readText, shapeOf, sources } from "./workspace.ts";

const WIDTH = 1180;
const ROW = 96;
const BOX_HEIGHT = 46;
const MARGIN = 56;
const GAP = 30;
/** Pixels of a letter of a name, and of a box's edges together. */
const LETTER = 7.4;
const EDGES = 22;
/** Room for "12,000 lines". */
const WIDTH_MIN = 82;
/** Lines of code that make a box one pixel wider, and to which they are rounded, so that the picture outlives a small change. */
const LINES_PER_PIXEL = 90;
const LINES_ROUNDED_TO = 500;

interface Room {
  readonly name: string;
  readonly floor: number;
  readonly lines: number;
  readonly imports: ReadonlySet<string>;
}

interface Box extends Room {
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

export function rooms(): Room[] {
  const all = packages();
  const names = new Set(all.map(({ name }) => name));
  return all.map(({ name, folder }) => {
    const files = sources(join(folder, "src")).map((path) => ({ path, text: readText(path) }));
    const requests = files.flatMap(({ path, text }) => shapeOf(path, text).imports);
    const imports = new Set(requests.flatMap((request) => packageOf(request) ?? []));
    return {
      name,
      floor: FLOORS[name] ?? 0,
      lines: roundedLines(files.reduce((sum, { text }) => sum + text.split("\n").length - 1, 0)),
      imports: new Set([...imports].filter((imported) => names.has(imported))),
    };
  });
}

function roundedLines(lines: number): number {
  return Math.max(1, Math.round(lines / LINES_ROUNDED_TO)) * LINES_ROUNDED_TO;
}

/** What is left of the imports of a package when those are taken away that another of its imports has, too. */
export function directImports(room: Room, all: readonly Room[]): string[] {
  const reachable = (name: string, seen: Set<string>): Set<string> => {
    for (const next of all.find((other) => other.name === name)?.imports ?? [])
      if (!seen.has(next)) reachable(next, seen.add(next));
    return seen;
  };
  const beyond = new Set([...room.imports].flatMap((name) => [...reachable(name, new Set())]));
  return [...room.imports].filter((name) => !beyond.has(name)).sort();
}

/** An SVG that follows the reader's choice of light and dark. */
export function housePicture(): string {
  const all = rooms();
  const boxes = placed(all);
  const at = new Map(boxes.map((box) => [box.name, box]));
  const arrows = boxes.flatMap((box) =>
    directImports(box, all).flatMap((name) => {
      const below = at.get(name);
      return below ? [arrow(box, below)] : [];
    }),
  );
  const height = ROW * (Math.max(...boxes.map(({ floor }) => floor)) + 1) + 8;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    STYLE,
    ...floors(boxes),
    ...arrows,
    ...boxes.map(drawn),
    "</svg>",
    "",
  ].join("\n");
}

const STYLE = `<style>
  rect { fill: #eef4fb; stroke: #3b6ea8; } text { fill: #1b2733; } .lines, .floor { fill: #5b6b7b; font-size: 11px; }
  path { fill: none; stroke: #3b6ea8; stroke-opacity: 0.45; } line { stroke: #d5dde6; }
  @media (prefers-color-scheme: dark) {
    rect { fill: #1c2a3a; stroke: #7fb0e6; } text { fill: #e6edf3; } .lines, .floor { fill: #9fb0c0; }
    path { stroke: #7fb0e6; } line { stroke: #2b3a4a; }
  }
</style>`;

function placed(all: readonly Room[]): Box[] {
  const top = Math.max(...all.map(({ floor }) => floor));
  return [...new Set(all.map(({ floor }) => floor))].flatMap((floor) => {
    const row = all.filter((room) => room.floor === floor).sort((a, b) => a.name.localeCompare(b.name));
    const widths = row.map(widthOf);
    const total = widths.reduce((sum, width) => sum + width + GAP, -GAP);
    let x = MARGIN + (WIDTH - MARGIN - total) / 2;
    return row.map((room, i) => {
      const width = widths[i] ?? 0;
      const box = { ...room, x, y: (top - floor) * ROW + 16, width };
      x += width + GAP;
      return box;
    });
  });
}

function widthOf({ name, lines }: Room): number {
  return Math.max(
    WIDTH_MIN,
    Math.round(EDGES + Math.max(titleOf(name).length * LETTER, lines / LINES_PER_PIXEL)),
  );
}

function titleOf(name: string): string {
  return name.replace("@hetmem/", "");
}

function floors(boxes: readonly Box[]): string[] {
  const rows = new Map(boxes.map(({ floor, y }) => [floor, y]));
  return [...rows].map(
    ([floor, y]) =>
      `<line x1="0" x2="${WIDTH}" y1="${y + 64}" y2="${y + 64}"/><text class="floor" x="8" y="${y + 28}">floor ${floor}</text>`,
  );
}

function drawn({ name, lines, x, y, width }: Box): string {
  const middle = round(x + width / 2);
  return [
    `<rect x="${round(x)}" y="${y}" width="${width}" height="${BOX_HEIGHT}" rx="5"/>`,
    `<text x="${middle}" y="${y + 20}" text-anchor="middle">${titleOf(name)}</text>`,
    `<text class="lines" x="${middle}" y="${y + 36}" text-anchor="middle">${lines.toLocaleString("en")} lines</text>`,
  ].join("");
}

function arrow(from: Box, to: Box): string {
  if (from.floor === to.floor) return aside(from, to);
  const [x1, y1] = [round(from.x + from.width / 2), from.y + BOX_HEIGHT];
  const [x2, y2] = [round(to.x + to.width / 2), to.y];
  const bend = (y2 - y1) / 2;
  return `<path d="M${x1} ${y1} C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}"/>`;
}

/** Neighbours are joined below their boxes. */
function aside(from: Box, to: Box): string {
  const [x1, x2, y] = [round(from.x + from.width / 2), round(to.x + to.width / 2), from.y + BOX_HEIGHT];
  return `<path stroke-dasharray="4 3" d="M${x1} ${y} C${x1} ${y + 22} ${x2} ${y + 22} ${x2} ${y}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
