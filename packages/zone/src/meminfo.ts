// /proc/meminfo and the meminfo file of a node: memory counters in kilobytes, as programs read them. Counters of
// other packages come through a port. Kernel counterparts: fs/proc/meminfo.c, node_read_meminfo() in
// drivers/base/node.c.
import { MiB, pagesToKiB } from "@hetmem/kernel";
import { PAGES_PER_SECTION, PAGES_PER_SUBSECTION, SectionFlag } from "@hetmem/page";
import { type BuildOptions, everyOption } from "./build-options.ts";
import { type HugePageCounts, type HugePages, noHugePages } from "./huge-pages.ts";
import { allZones, type Memory } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import { NodeStat, type NodeStatName, ZoneStat, type ZoneStatName } from "./vmstat.ts";
import { totalreservePages } from "./watermark.ts";

/** Port: values of /proc/meminfo that other packages keep, in pages. An absent one is shown as 0. */
export interface MeminfoPort {
  readonly swapTotal?: () => number;
  readonly swapFree?: () => number;
  /** Pages committed to address spaces: Committed_AS. @see vm_memory_committed() */
  readonly committed?: () => number;
  /** Pages that may be committed with overcommit off: CommitLimit. @see vm_commit_limit() */
  readonly commitLimit?: () => bigint;
  readonly hugePages?: HugePages;
  readonly vmallocUsed?: () => number;
  readonly percpu?: () => number;
  /** Size of the vmalloc area in KiB; the default is the 32 TiB of four-level page tables. */
  readonly vmallocTotalKiB?: number;
}

const VMALLOC_TOTAL_KIB = 34_359_738_367;
/** The counts of the hugetlb pool by their label. */
const HUGE_PAGE_COUNTS = {
  HugePages_Total: "total",
  HugePages_Free: "free",
  HugePages_Rsvd: "reserved",
  HugePages_Surp: "surplus",
} as const satisfies Record<string, keyof HugePageCounts>;
const HUGE_PAGE_KIB = (2 * MiB) / 1024;

/** @see meminfo_proc_show() in fs/proc/meminfo.c */
export function meminfoText(
  memory: Memory,
  port: MeminfoPort = {},
  built: BuildOptions = everyOption,
): string {
  const zones = [...allZones(memory)];
  const nodes = memory.nodes.filter((node) => node !== undefined);
  const stat = (name: NodeStatName): number =>
    nodes.reduce((sum, node) => sum + (node.stat[NodeStat[name]] ?? 0), 0);
  const zoneStat = (name: ZoneStatName): number =>
    zones.reduce((sum, zone) => sum + (zone.stat[ZoneStat[name]] ?? 0), 0);
  const managed = zones.reduce((sum, zone) => sum + zone.managedPages, 0);
  const swapTotal = port.swapTotal?.() ?? 0;
  const directMap = directMapOf(memory);
  const lines: readonly (readonly [label: string, kilobytes: number | bigint])[] = [
    ...pages([
      ["MemTotal", managed],
      ["MemFree", zoneStat("nr_free_pages")],
      ["MemAvailable", available(memory, stat)],
      ["Buffers", 0],
      ["Cached", Math.max(0, stat("nr_file_pages") - stat("nr_swapcached"))],
      ["SwapCached", stat("nr_swapcached")],
      ...lruLines(stat),
      ["Mlocked", zoneStat("nr_mlock")],
      ["SwapTotal", swapTotal],
      ["SwapFree", port.swapFree?.() ?? 0],
      ["Dirty", stat("nr_dirty")],
      ["Writeback", stat("nr_writeback")],
      ["AnonPages", stat("nr_anon_pages")],
      ["Mapped", stat("nr_mapped")],
      ["Shmem", stat("nr_shmem")],
      ...slabLines(stat),
    ]),
    ["KernelStack", stat("nr_kernel_stack")],
    ...pages([
      ["PageTables", stat("nr_page_table_pages")],
      ["SecPageTables", stat("nr_sec_page_table_pages")],
      ["NFS_Unstable", 0],
      ["Bounce", zoneStat("nr_bounce")],
      ["WritebackTmp", stat("nr_writeback_temp")],
    ]),
    ["CommitLimit", kibOfPages(port.commitLimit?.() ?? 0n)],
    ...pages([["Committed_AS", port.committed?.() ?? 0]]),
    ["VmallocTotal", port.vmallocTotalKiB ?? VMALLOC_TOTAL_KIB],
    ...pages([
      ["VmallocUsed", port.vmallocUsed?.() ?? 0],
      ["VmallocChunk", 0],
      ["Percpu", port.percpu?.() ?? 0],
      ...poisonLines(memory, built),
      ...hugePageLines(stat, built),
    ]),
  ];
  const text = lines.map(([label, kilobytes]) => line(label, kilobytes)).join("");
  return (
    text +
    hugetlbLines(port, built) +
    line("DirectMap4k", directMap.small) +
    line("DirectMap2M", directMap.large) +
    line("DirectMap1G", 0)
  );
}

/** @see node_read_meminfo() in drivers/base/node.c */
export function nodeMeminfoText(
  node: MemoryNode,
  hugePages: HugePages = noHugePages,
  built: BuildOptions = everyOption,
): string {
  const stat = (name: NodeStatName): number => node.stat[NodeStat[name]] ?? 0;
  const free = node.sumZoneStat(ZoneStat.nr_free_pages);
  const lines: readonly (readonly [label: string, kilobytes: number])[] = [
    ...pages([
      ["MemTotal", node.managedPages],
      ["MemFree", free],
      ["MemUsed", node.managedPages - free],
      ["SwapCached", stat("nr_swapcached")],
      ...lruLines(stat),
      ["Mlocked", node.sumZoneStat(ZoneStat.nr_mlock)],
      ["Dirty", stat("nr_dirty")],
      ["Writeback", stat("nr_writeback")],
      ["FilePages", stat("nr_file_pages")],
      ["Mapped", stat("nr_mapped")],
      ["AnonPages", stat("nr_anon_pages")],
      ["Shmem", stat("nr_shmem")],
    ]),
    ["KernelStack", stat("nr_kernel_stack")],
    ...pages([
      ["PageTables", stat("nr_page_table_pages")],
      ["SecPageTables", stat("nr_sec_page_table_pages")],
      ["NFS_Unstable", 0],
      ["Bounce", node.sumZoneStat(ZoneStat.nr_bounce)],
      ["WritebackTmp", stat("nr_writeback_temp")],
      ...slabLines(stat),
      ...hugePageLines(stat, built),
    ]),
  ];
  const prefix = `Node ${node.id} `;
  const text = lines.map(([label, kilobytes]) => prefix + nodeLine(label, kilobytes)).join("");
  return built.has("HUGETLB_PAGE") ? text + poolLines(hugePages.nodeCounts(node.id), 17, prefix) : text;
}

/** Lines of the hugetlb counts, numbers without a unit. @param width columns of a label */
function poolLines(counts: Partial<HugePageCounts>, width: number, prefix = ""): string {
  return Object.entries(HUGE_PAGE_COUNTS)
    .filter(([, name]) => counts[name] !== undefined)
    .map(([label, name]) => `${prefix}${`${label}:`.padEnd(width)}${`${counts[name]}`.padStart(5)}\n`)
    .join("");
}

type PageLine = readonly [label: string, pages: number];
type Stat = (name: NodeStatName) => number;

function pages(lines: readonly PageLine[]): PageLine[] {
  return lines.map(([label, count]) => [label, pagesToKiB(count)]);
}

function lruLines(stat: Stat): PageLine[] {
  return [
    ["Active", stat("nr_active_anon") + stat("nr_active_file")],
    ["Inactive", stat("nr_inactive_anon") + stat("nr_inactive_file")],
    ["Active(anon)", stat("nr_active_anon")],
    ["Inactive(anon)", stat("nr_inactive_anon")],
    ["Active(file)", stat("nr_active_file")],
    ["Inactive(file)", stat("nr_inactive_file")],
    ["Unevictable", stat("nr_unevictable")],
  ];
}

function slabLines(stat: Stat): PageLine[] {
  const reclaimable = stat("nr_slab_reclaimable");
  const unreclaimable = stat("nr_slab_unreclaimable");
  return [
    ["KReclaimable", reclaimable + stat("nr_kernel_misc_reclaimable")],
    ["Slab", reclaimable + unreclaimable],
    ["SReclaimable", reclaimable],
    ["SUnreclaim", unreclaimable],
  ];
}

function poisonLines({ counters }: Memory, built: BuildOptions): PageLine[] {
  return built.has("MEMORY_FAILURE") ? [["HardwareCorrupted", counters.poisonedPages]] : [];
}

function hugetlbLines({ hugePages = noHugePages }: MeminfoPort, built: BuildOptions): string {
  if (!built.has("HUGETLB_PAGE")) return "";
  const { counts } = hugePages;
  return (
    poolLines(counts, 19) +
    line("Hugepagesize", HUGE_PAGE_KIB) +
    line("Hugetlb", counts.total * HUGE_PAGE_KIB)
  );
}

function hugePageLines(stat: Stat, built: BuildOptions): PageLine[] {
  if (!built.has("TRANSPARENT_HUGEPAGE")) return [];
  return [
    ["AnonHugePages", stat("nr_anon_transparent_hugepages")],
    ["ShmemHugePages", stat("nr_shmem_hugepages")],
    ["ShmemPmdMapped", stat("nr_shmem_pmdmapped")],
    ["FileHugePages", stat("nr_file_hugepages")],
    ["FilePmdMapped", stat("nr_file_pmdmapped")],
  ];
}

/**
 * Pages available without swapping: free pages above the reserves, and at least half of page cache and reclaimable
 * slab.
 *
 * @see si_mem_available() in mm/page_alloc.c
 */
function available(memory: Memory, stat: Stat): number {
  let free = 0;
  let low = 0;
  for (const zone of allZones(memory)) {
    free += zone.freePages;
    low += zone.watermark.low;
  }
  const pagecache = stat("nr_active_file") + stat("nr_inactive_file");
  const reclaimable = stat("nr_slab_reclaimable") + stat("nr_kernel_misc_reclaimable");
  const halfOf = (count: number): number => count - Math.min(Math.floor(count / 2), low);
  return Math.max(0, free - totalreservePages(memory) + halfOf(pagecache) + halfOf(reclaimable));
}

/**
 * Size of the direct map in KiB, by page size: 2 MiB pages where all of one is memory, 4 KiB pages at the ends of
 * ranges.
 */
function directMapOf({ memblock, memmap }: Memory): { small: number; large: number } {
  let small = 0;
  let large = 0;
  for (const { start, end } of memblock.pfnRanges()) {
    const whole = Math.floor(end / PAGES_PER_SUBSECTION) - Math.ceil(start / PAGES_PER_SUBSECTION);
    const inLarge = Math.max(0, whole) * PAGES_PER_SUBSECTION;
    large += inLarge;
    small += end - start - inLarge;
  }
  for (const section of memmap.sections.present()) {
    if (!memmap.sections.has(section, SectionFlag.early)) large += PAGES_PER_SECTION;
  }
  return { small: pagesToKiB(small), large: pagesToKiB(large) };
}

/** Kilobytes of pages as the kernel's unsigned long has them: the highest two bits are shifted out. */
function kibOfPages(count: bigint): bigint {
  return BigInt.asUintN(64, count << 2n);
}

/** A line of /proc/meminfo. Labels are padded to 16 columns; HardwareCorrupted is longer. */
function line(label: string, kilobytes: number | bigint): string {
  if (label === "HardwareCorrupted") return `${label}: ${`${kilobytes}`.padStart(5)} kB\n`;
  return `${`${label}:`.padEnd(16)}${`${kilobytes}`.padStart(8)} kB\n`;
}

/** A line of a node's meminfo. Two labels have one column less, as in the kernel's format strings. */
function nodeLine(label: string, kilobytes: number): string {
  const width = label === "FileHugePages" || label === "FilePmdMapped" ? 15 : 16;
  return `${`${label}:`.padEnd(width)}${`${kilobytes}`.padStart(8)} kB\n`;
}
