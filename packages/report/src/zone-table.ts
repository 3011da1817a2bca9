// The table of nodes and zones, in pages, as /proc/zoneinfo counts them.
import { formatBytes, formatIdList, PAGE_SIZE } from "@hetmem/kernel";
import type { Paint } from "./paint.ts";
import { formatAddress } from "./size.ts";
import { type Column, tableLines } from "./table.ts";
import type { MachineView } from "./view.ts";

const COLUMNS: readonly Column[] = [
  { title: "node" },
  { title: "zone" },
  { title: "start", align: "right" },
  { title: "end", align: "right" },
  { title: "spanned", align: "right" },
  { title: "present", align: "right" },
  { title: "managed", align: "right" },
  { title: "free", align: "right" },
  { title: "size", align: "right" },
];
const ZONE_COLUMN = 1;
const ZONES = ["DMA", "DMA32", "Normal", "Movable"] as const;

/**
 * A line a zone, a line a node without any, the totals, and whose the CPUs are.
 *
 * @param width the sizes for people are left out where they don't fit
 */
export function zoneTableLines(view: MachineView, width: number, paint: Paint): string[] {
  const whole = linesOf(view, COLUMNS, paint);
  const fits = tableLines(COLUMNS, rowsOf(view)).every((line) => line.length <= width);
  return [...(fits ? whole : linesOf(view, COLUMNS.slice(0, -1), paint)), "", cpuSentence(view)];
}

function linesOf(view: MachineView, columns: readonly Column[], paint: Paint): string[] {
  const rows = rowsOf(view);
  return tableLines(columns, rows, (text, row, column) => {
    if (row === -1) return paint.dim(text);
    if (row === rows.length - 1) return paint.bold(text);
    const kind = ZONES.find((name) => name === text.trim());
    return column === ZONE_COLUMN && kind ? paint.kind(kind, text) : text;
  });
}

function rowsOf(view: MachineView): string[][] {
  const rows = view.nodes.flatMap(({ id }) => {
    const zones = view.zones.filter((zone) => zone.node === id);
    if (zones.length === 0) return [[`${id}`, "no memory"]];
    return zones.map((zone, index) => [
      index === 0 ? `${id}` : "",
      zone.name,
      // The kernel does not say where a zone without present pages begins.
      zone.present === 0 ? "-" : formatAddress(zone.start),
      zone.present === 0 ? "-" : formatAddress(zone.end - 1),
      `${zone.spanned}`,
      `${zone.present}`,
      `${zone.managed}`,
      `${zone.free}`,
      formatBytes(zone.present * PAGE_SIZE),
    ]);
  });
  const total = (field: "spanned" | "present" | "managed" | "free"): string =>
    `${view.zones.reduce((sum, zone) => sum + zone[field], 0)}`;
  const sums = [total("spanned"), total("present"), total("managed"), total("free")];
  return [...rows, ["total", "", "", "", ...sums, formatBytes(view.ramBytes)]];
}

function cpuSentence({ nodes }: MachineView): string {
  const owners = nodes.map(
    ({ id, cpus }) => `node ${id}: ${cpus.length === 0 ? "none" : formatIdList(cpus)}`,
  );
  return `CPUs of ${owners.join("; ")}`;
}
