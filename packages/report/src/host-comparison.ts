// The totals of a machine beside those of the host that it was made from, from the same files, with a reason for each difference.
import { formatBytes, PAGE_SIZE } from "@hetmem/kernel";
import { STRUCT_PAGE_BYTES } from "@hetmem/page";
import { type Host, usageOfHost } from "@hetmem/host-capture";
import type { Paint } from "./paint.ts";
import { tableLines } from "./table.ts";
import type { MachineView } from "./view.ts";
import { wrap } from "./wrap.ts";

/** One total of both. */
export interface Comparison {
  readonly name: "spanned" | "present" | "managed" | "free" | "MemTotal" | "MemFree";
  readonly unit: "pages" | "kB";
  readonly machine: number;
  readonly host: number;
  /** Why they differ; empty when they are equal. */
  readonly why: string;
}

/** Compares the totals. ZONE_DEVICE of the host counts as spanned only: its pages are of drivers. */
export function compareWithHost(view: MachineView, host: Host): Comparison[] {
  const device = host.zoneinfo.zones.filter((zone) => zone.name === "Device");
  const boot = host.zoneinfo.zones.filter((zone) => zone.name !== "Device");
  const sums = (["spanned", "present", "managed", "free"] as const).map((name) => {
    const machine = sum(view.zones, name);
    const there = sum(boot, name) + (name === "spanned" ? sum(device, name) : 0);
    return { name, unit: "pages" as const, machine, host: there };
  });
  const memory = [
    {
      name: "MemTotal" as const,
      unit: "kB" as const,
      machine: view.memTotalKb,
      host: host.meminfo.get("MemTotal") ?? 0,
    },
    {
      name: "MemFree" as const,
      unit: "kB" as const,
      machine: view.memFreeKb,
      host: host.meminfo.get("MemFree") ?? 0,
    },
  ];
  return [...sums, ...memory].map((pair) => ({
    ...pair,
    why: pair.machine === pair.host ? "" : explain(pair, view, host),
  }));
}

/** The comparison for people. @param width columns of the terminal */
export function hostComparisonLines(view: MachineView, host: Host, width: number, paint: Paint): string[] {
  const comparisons = compareWithHost(view, host);
  const rows = comparisons.map(({ name, unit, machine, host: there }) => [
    `${name}, ${unit}`,
    `${machine}`,
    `${there}`,
    machine === there ? "equal" : signed(machine - there),
  ]);
  const columns = [
    { title: "" },
    { title: "machine", align: "right" },
    { title: "host", align: "right" },
    { title: "difference", align: "right" },
  ] as const;
  const lines = tableLines(columns, rows, width, (text, row, column) => {
    if (row === -1) return paint.dim(text);
    if (column !== 3) return text;
    return text.trim() === "equal" ? paint.good(text) : paint.warn(text);
  });
  const reasons = comparisons.filter(({ why }) => why !== "").map(({ name, why }) => `${name}: ${why}`);
  const sentences = [...reasons, keptSentence(host)];
  return [...lines, "", ...sentences.flatMap((sentence) => wrap(sentence, width, "  "))];
}

/** The pages that are present on the host and not in its MemTotal. */
function keptSentence(host: Host): string {
  const present = sum(host.zoneinfo.zones, "present");
  const memTotal = host.meminfo.get("MemTotal") ?? 0;
  const memmap = (present * STRUCT_PAGE_BYTES) / PAGE_SIZE;
  return (
    `MemTotal is less than the RAM by ${pages(present - memTotal / 4)} that boot memory keeps: struct pages take ${formatBytes(memmap * PAGE_SIZE)}, ` +
    "the kernel's image, its tables and what the firmware reserves take the rest."
  );
}

type Pair = Pick<Comparison, "name" | "unit" | "machine" | "host">;

function explain(pair: Pair, view: MachineView, host: Host): string {
  const { beyondManaged } = usageOfHost(host);
  const difference = pair.machine - pair.host;
  switch (pair.name) {
    case "spanned":
    case "present":
      return explainZones(pair.name, view, host);
    case "managed":
      return beyondManaged === difference ? explainManaged(beyondManaged) : reserved(pair, view);
    case "free":
      return explainFree(difference, beyondManaged, host);
    case "MemTotal":
      return reserved({ ...pair, machine: pair.machine / 4, host: pair.host / 4 }, view);
    case "MemFree":
      return explainFree(difference / 4, 0, host);
  }
}

function explainManaged(beyondManaged: number): string {
  return beyondManaged > 0
    ? `the host's MemTotal counts ${pages(beyondManaged)} that its zones do not manage yet (struct pages initialised late, or a balloon); the machine follows MemTotal.`
    : `the host's zones manage ${pages(-beyondManaged)} that its MemTotal leaves out (a balloon holds them); the machine follows MemTotal.`;
}

/** @param difference in pages */
function explainFree(difference: number, beyondManaged: number, host: Host): string {
  const reasons: string[] = [];
  if (beyondManaged !== 0) reasons.push("what the machine manages beyond the host's zones is free in it");
  const onLists = host.zoneinfo.zones.reduce(
    (total, zone) => total + zone.pcp.reduce((count, list) => count + list, 0),
    0,
  );
  const rest = difference - beyondManaged;
  if (onLists > 0 && rest > onLists / 2)
    reasons.push(`the host has ${pages(onLists)} on the lists of its CPUs, free pages that it doesn't count`);
  if (Math.abs(rest - onLists) > onLists / 10)
    reasons.push("the host allocates and frees all the time, also while its files are read");
  return `${reasons.join("; ")}.`;
}

/** Names the zones that have another number of pages on the host. */
function explainZones(name: "spanned" | "present", view: MachineView, host: Host): string {
  const findings: string[] = [];
  for (const zone of host.zoneinfo.zones) {
    const here = view.zones.find((mine) => mine.node === zone.node && mine.name === zone.name)?.[name] ?? 0;
    if (here === zone[name]) continue;
    const where = `node ${zone.node}'s ${zone.name} has ${pages(zone[name])} there and ${pages(here)} here`;
    findings.push(
      zone.name === "Device"
        ? `${where}: a driver of the host claimed them, and the machine boots before its drivers`
        : where,
    );
  }
  const moved = findings.length > 0 ? findings.join("; ") : "zones that the host does not have";
  const onlineLater = host.blocks?.blocks.some((block) => block.zones.includes("Movable"))
    ? " (blocks of the host went online one by one)"
    : "";
  return `${moved}${findings.every((text) => text.includes("driver")) ? "" : onlineLater}.`;
}

function reserved(pair: Pair, view: MachineView): string {
  const kept = sum(view.zones, "present") - sum(view.zones, "managed");
  return `the machine keeps ${pages(kept)} for its struct pages and kernel; the host keeps ${pages(kept + pair.machine - pair.host)}.`;
}

function pages(count: number): string {
  const whole = Math.round(count);
  return `${whole} pages (${formatBytes(whole * PAGE_SIZE)})`;
}

type Total = "spanned" | "present" | "managed" | "free";

function sum(zones: readonly Readonly<Record<Total, number>>[], name: Total): number {
  return zones.reduce((total, zone) => total + zone[name], 0);
}

function signed(difference: number): string {
  return difference > 0 ? `+${difference}` : `${difference}`;
}
