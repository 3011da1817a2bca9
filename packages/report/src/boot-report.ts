// The first screen of `hetmem boot`: the machine, its zones, its physical address space, the cost of its struct pages, the
// differences from the host that it was made from, and commands to type next.
import type { Host } from "@hetmem/host-capture";
import { compareWithHost, hostComparisonLines } from "./host-comparison.ts";
import { memmapPriceLines } from "./memmap-price.ts";
import { nextStepLines } from "./next-steps.ts";
import type { Paint } from "./paint.ts";
import { physicalMapLines } from "./physical-map.ts";
import { formatBytes } from "@hetmem/kernel";
import type { MachineView } from "./view.ts";
import { wrap } from "./wrap.ts";
import { zoneTableLines } from "./zone-table.ts";
import "./version.ts";

export interface BootReport {
  readonly view: MachineView;
  /** "the host vm", "the capture tree.tar.gz". */
  readonly source: string;
  /** Options of `hetmem sh` that choose the same machine. */
  readonly sameMachine: string;
  /** The host that the machine was made from; undefined for a machine file. */
  readonly host: Host | undefined;
  readonly notices: readonly string[];
  /** A device for `hetmem plan`; undefined if no device of the machine can become RAM. */
  readonly plannable: string | undefined;
}

/**
 * The report for a terminal.
 *
 * @param self the command by which the user calls hetmem
 * @param width columns
 */
export function bootReportLines(report: BootReport, self: string, width: number, paint: Paint): string[] {
  const { view, host } = report;
  const section = (title: string, lines: readonly string[]): string[] => [
    "",
    paint.title(title),
    "",
    ...lines,
  ];
  return [
    ...headlines(report, width, paint),
    ...report.notices.flatMap((notice) => wrap(`! ${notice}`, width, "  ").map(paint.warn)),
    ...section("Nodes and zones, in pages of 4 KiB", zoneTableLines(view, width, paint)),
    ...section("Physical memory, to scale", physicalMapLines(view, width, paint)),
    ...section("The price of struct pages", memmapPriceLines(view, width, paint)),
    ...(host ? section("Compared with the host", hostComparisonLines(view, host, width, paint)) : []),
    ...section("Next", nextStepLines(report, self, width, paint)),
  ];
}

/** The same for programs. */
export function bootReportJson(report: BootReport): object {
  const { view, host, source, notices } = report;
  const { stretches, ...machine } = view;
  return { source, notices, machine, map: stretches, comparison: host ? compareWithHost(view, host) : [] };
}

function headlines({ view, source }: BootReport, width: number, paint: Paint): string[] {
  const nodes = view.nodes.length === 1 ? "1 node" : `${view.nodes.length} nodes`;
  const cpus = view.nodes.reduce((count, node) => count + node.cpus.length, 0);
  const counted = cpus === 1 ? "1 CPU" : `${cpus} CPUs`;
  return [
    `${paint.bold("hetmem")} booted ${source}:`,
    ...wrap(
      `${formatBytes(view.ramBytes)} in ${nodes}, ${counted}, Linux ${view.release}, with the rules of ${view.profile}`,
      width,
      "  ",
    ),
  ];
}
