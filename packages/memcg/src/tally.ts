// A recount of all charges from pages, slots and objects, against which the invariants check the counters. Slow and
// simple on purpose.
import { type NodeId, type Page, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { MAPPING_ANON, pageMapcount } from "@hetmem/mm/rmap";
import { PageFlag, PAGES_PER_SUBSECTION, sectionOfPfn } from "@hetmem/page";
import type { Memory } from "@hetmem/zone";
import { NOBODY, ROOT_ID } from "./cgroup-ids.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";
import type { MemoryCgroups } from "./memory-cgroups.ts";
import type { NodeItem } from "./stat/items.ts";

/** Node counters in a tally. */
export const TALLIED = [
  "nr_anon_pages",
  "nr_mapped",
  "nr_file_pages",
  "nr_shmem",
  "nr_dirty",
  "nr_swapcached",
  "nr_page_table_pages",
] as const satisfies readonly NodeItem[];
type TalliedItem = (typeof TALLIED)[number];

/** The charges of one cgroup. */
export class Counted {
  /** Pages of processes and files, in RAM and on devices. */
  pages = 0;
  /** Kernel memory in pages, including pages for objects. */
  kernelPages = 0;
  sockets = 0;
  stocked = 0;
  slots = 0;
  /** Counters by node and index in TALLIED. */
  private readonly items: Int32Array;

  constructor(nodes: number) {
    this.items = new Int32Array(nodes * TALLIED.length);
  }

  item(node: NodeId, item: TalliedItem): number {
    return this.items[node * TALLIED.length + TALLIED.indexOf(item)] as number;
  }

  count(node: NodeId, item: TalliedItem): void {
    const place = node * TALLIED.length + TALLIED.indexOf(item);
    this.items[place] = (this.items[place] as number) + 1;
  }

  /**
   * Adds the charges of a descendant. The root's own charges aren't counted, except kernel memory and node counters.
   */
  add(other: Counted, ofRoot: boolean): void {
    this.kernelPages += other.kernelPages;
    for (let i = 0; i < this.items.length; i++)
      this.items[i] = (this.items[i] as number) + (other.items[i] as number);
    if (ofRoot) return;
    this.pages += other.pages;
    this.sockets += other.sockets;
    this.stocked += other.stocked;
    this.slots += other.slots;
  }
}

export interface Tally {
  /** Charges of each cgroup and its descendants. */
  readonly sums: ReadonlyMap<MemoryCgroup, Counted>;
  /** Number of pages and of slots with each id. */
  readonly pagesOf: ReadonlyMap<number, number>;
  readonly slotsOf: ReadonlyMap<number, number>;
}

/** Recounts the charges of all cgroups. */
export function takeTally(cgroups: MemoryCgroups): Tally {
  const nodes = cgroups.memory.nodes.length;
  const own = new Map<MemoryCgroup, Counted>();
  for (const cgroup of cgroups.root.subtree()) own.set(cgroup, new Counted(nodes));
  const tallyOf = (id: number): Counted => own.get(cgroups.ids.cgroup(id)) ?? new Counted(nodes);
  const pagesOf = new Map<number, number>();
  const slotsOf = new Map<number, number>();
  for (const page of ownedPages(cgroups)) {
    const id = cgroups.owners[page] as number;
    pagesOf.set(id, (pagesOf.get(id) ?? 0) + 1);
    const tally = tallyOf(id);
    if (cgroups.ids.kernel[id] === 1) tally.kernelPages++;
    else tally.pages++;
    countPage(cgroups, page, tally);
  }
  for (const { id } of cgroups.swapOwners.paid()) {
    slotsOf.set(id, (slotsOf.get(id) ?? 0) + 1);
    tallyOf(id).slots++;
  }
  for (let id = ROOT_ID; id < cgroups.ids.end; id++) {
    if (cgroups.ids.find(id) === undefined) continue;
    const tally = tallyOf(id);
    tally.stocked += cgroups.stocks.of(id);
    tally.kernelPages += Math.ceil((cgroups.ids.bytes[id] as number) / PAGE_SIZE);
    tally.sockets += cgroups.ids.sockets[id] as number;
  }
  return { sums: sumsOf(own, nodes), pagesOf, slotsOf };
}

/** All charged pages, with each small page of a compound page. */
export function ownedPages({ memory, owners }: MemoryCgroups): Page[] {
  const pages: Page[] = [];
  // Eight pages per iteration: the loop covers all memory, most of which is uncharged.
  const words = new Int32Array(owners.buffer);
  for (const first of populatedBlocks(memory)) {
    for (let i = first / 2; i < (first + PAGES_PER_SUBSECTION) / 2; i += 4) {
      const any = at(words, i) | at(words, i + 1) | at(words, i + 2) | at(words, i + 3);
      if (any !== 0) addOwned(owners, i * 2, i * 2 + 8, pages);
    }
  }
  return pages;
}

/** First pages of all 2 MiB blocks that zones span. Spans of a node's zones may overlap. */
function populatedBlocks({ nodes, memmap }: Memory): Set<Page> {
  const blocks = new Set<Page>();
  const step = PAGES_PER_SUBSECTION;
  for (const zone of nodes.flatMap((node) => node?.zones ?? []))
    for (let frame = zone.startPfn; frame < zone.startPfn + zone.spannedPages; frame = (frame + step) as Pfn)
      if (memmap.pfnValid(frame) && !memmap.sections.isUntouched(sectionOfPfn(frame)))
        blocks.add((memmap.pfnToPage(frame) & -step) as Page);
  return blocks;
}

function at(words: Int32Array, i: number): number {
  return words[i] as number;
}

function addOwned(owners: Uint16Array, start: number, end: number, pages: Page[]): void {
  for (let page = start; page < end; page++) if (owners[page] !== NOBODY) pages.push(page as Page);
}

function countPage({ vm }: MemoryCgroups, page: Page, tally: Counted): void {
  const { memmap } = vm;
  const flags = memmap.flags(page);
  const node = memmap.nodeOf(page);
  const mapping = memmap.mapping(memmap.compoundHead(page));
  const anon = (mapping & MAPPING_ANON) !== 0;
  if ((flags & PageFlag.table) !== 0) tally.count(node, "nr_page_table_pages");
  else if (pageMapcount(memmap, page) > 0) tally.count(node, anon ? "nr_anon_pages" : "nr_mapped");
  if ((flags & PageFlag.swapcache) !== 0) tally.count(node, "nr_swapcached");
  if (anon || vm.mappings.of(memmap, page) === undefined) return;
  tally.count(node, "nr_file_pages");
  if ((flags & PageFlag.swapbacked) !== 0) tally.count(node, "nr_shmem");
  else if ((flags & PageFlag.dirty) !== 0) tally.count(node, "nr_dirty");
}

function sumsOf(own: ReadonlyMap<MemoryCgroup, Counted>, nodes: number): Map<MemoryCgroup, Counted> {
  const sums = new Map<MemoryCgroup, Counted>();
  for (const cgroup of own.keys()) sums.set(cgroup, new Counted(nodes));
  for (const [cgroup, counted] of own)
    for (const above of cgroup.upwards()) sums.get(above)?.add(counted, cgroup.isRoot);
  return sums;
}
