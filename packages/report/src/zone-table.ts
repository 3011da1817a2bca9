// The table of nodes and zones, in pages, as /proc/zoneinfo counts them. Kernel counterpart: zoneinfo_show_print() in mm/vmstat.c.
import { formatBytes, formatIdList, PAGE_SIZE } from "@hetmem/kernel";
import type { Paint } from "./paint.ts";
import { formatAddress } from "./size.ts";
import { type Column, tableLines } from "./table.ts";
import type { MachineView } from "./view.ts";
import { wrap } from "./wrap.ts";

const COLUMNS: readonly Column[] = [
  { title: "node" },
  { title: "zone" },
  { title: "start", align: "right", spare: 1 },
  { title: "end", align: "right", spare: 3 },
  { title: "spanned", align: "right", spare: 2 },
  { title: "present", align: "right" },
  { title: "managed", align: "right" },
  { title: "free", align: "right" },
  { title: "size", align: "right", spare: 4 },
];
const ZONE_COLUMN = 1;
const ZONES = ["DMA", "DMA32", "Normal", "Movable"] as const;

/**
 * One line a zone, one a node without zones, the totals, and the CPUs of each node.
 *
 * @param width columns of the terminal; sizes for people, ends, spans and starts are left out where they don't fit
 */
export function zoneTableLines(view: MachineView, width: number, paint: Paint): string[] {
  const rows = rowsOf(view);
  const lines = tableLines(COLUMNS, rows, width, (text, row, column) => {
    if (row === -1) return paint.dim(text);
    if (row === rows.length - 1) return paint.bold(text);
    const kind = ZONES.find((name) => name === text.trim());
    return column === ZONE_COLUMN && kind ? paint.kind(kind, text) : text;
  });
  return [...lines, "", ...wrap(cpuSentence(view), width, "  ")];
}

function rowsOf(view: MachineView): string[][] {
  const rows = view.nodes.flatMap(({ id }) => {
    const zones = view.zones.filter((zone) => zone.node === id);
    if (zones.length === 0) return [[`${id}`, "no memory"]];
    return zones.map((zone, index) => [
      index === 0 ? `${id}` : "",
      zone.name,
      // The kernel prints no start of a zone without present pages.
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
