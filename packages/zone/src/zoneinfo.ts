// /proc/zoneinfo: every zone of every online node, with its watermarks, spans, counters and per-cpu lists. Kernel
// counterpart: zoneinfo_show_print() in mm/vmstat.c.
import { type BuildOptions, everyOption } from "./build-options.ts";
import { type Memory, onlineCpus, onlineNodes } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import { NUMA_STATS, ZONE_STATS } from "./vmstat.ts";
import { nodeCounters } from "./vmstat-text.ts";
import { normalThreshold } from "./watermark.ts";
import { MAX_NR_ZONES, ZoneType } from "./zone-type.ts";
import type { Zone } from "./zone.ts";

export function zoneinfoText(memory: Memory, built: BuildOptions = everyOption): string {
  const zones = built.has("ZONE_DEVICE") ? MAX_NR_ZONES : ZoneType.Device;
  return onlineNodes(memory)
    .flatMap((node) => node.zones.slice(0, zones).map((zone) => zoneText(memory, node, zone, built)))
    .join("");
}

function zoneText(memory: Memory, node: MemoryNode, zone: Zone, built: BuildOptions): string {
  const header = `Node ${node.id}, zone ${zone.name.padStart(8)}\n`;
  const shared = zone === node.zones.find((candidate) => candidate.populated) ? nodeText(node, built) : "";
  // A zone without memory has no counters and no pagesets in the file.
  const rest = zone.populated ? countersText(zone) + pagesetsText(memory, zone, onlineCpus(memory)) : "";
  return header + shared + sizesText(zone) + rest;
}

function nodeText(node: MemoryNode, built: BuildOptions): string {
  return `  per-node stats\n${nodeCounters([node], built)
    .map(([name, value]) => counterLine(name, value))
    .join("")}`;
}

function sizesText(zone: Zone): string {
  const { watermark } = zone;
  return (
    `  pages free     ${zone.freePages}\n` +
    `        boost    ${watermark.boost}\n` +
    `        min      ${watermark.min + watermark.boost}\n` +
    `        low      ${watermark.low + watermark.boost}\n` +
    `        high     ${watermark.high + watermark.boost}\n` +
    `        spanned  ${zone.spannedPages}\n` +
    `        present  ${zone.presentPages}\n` +
    `        managed  ${zone.managedPages}\n` +
    `        cma      0\n` +
    `        protection: (${zone.lowmemReserve.join(", ")})\n`
  );
}

function countersText(zone: Zone): string {
  const own = ZONE_STATS.map((name, item) => counterLine(name, zone.stat[item] ?? 0));
  const numa = NUMA_STATS.map((name, item) => counterLine(name, zone.numaStat[item] ?? 0));
  return [...own, ...numa].join("");
}

function pagesetsText(memory: Memory, zone: Zone, cpus: readonly number[]): string {
  const threshold = normalThreshold(memory, zone);
  const pagesets = cpus.map((cpu) => {
    const pcp = zone.pcp[cpu];
    return (
      `    cpu: ${cpu}\n` +
      `              count: ${pcp?.count ?? 0}\n` +
      `              high:  ${pcp?.high ?? 0}\n` +
      `              batch: ${pcp?.batch ?? 1}\n` +
      `  vm stats threshold: ${threshold}\n`
    );
  });
  return `  pagesets\n${pagesets.join("")}  node_unreclaimable:  0\n  start_pfn:           ${zone.startPfn}\n`;
}

function counterLine(name: string, value: number): string {
  return `      ${name.padEnd(12)} ${value}\n`;
}
