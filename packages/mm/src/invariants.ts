// Invariants of address spaces, which hold between any two steps of any task: mapcounts, references and counters
// agree with the page tables, and reverse mapping finds every entry. One check takes a census of all page tables and
// applies each rule to it. For schedulers, fuzzers and users' own tests.
import type { Invariant, Page, VirtAddr } from "@hetmem/kernel";
import { describePage, type ListId } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { type MemoryNode, NodeStat, onlineNodes } from "@hetmem/zone";
import { type Census, type CountedEntry, takeCensus } from "./census.ts";
import { compoundMapcount } from "./huge/huge-counts.ts";
import { LruList } from "./lru/lru.ts";
import { Rss } from "./mm-struct.ts";
import { pageAnon } from "./rmap/map-counts.ts";
import { pageMapcount } from "./rmap/page-mapcount.ts";
import type { Vm } from "./vm.ts";

/** The invariants, as one whose check takes a single census of the page tables. */
export const vmInvariants: readonly Invariant<Vm>[] = [
  {
    name: "page tables and counters agree",
    *check(vm) {
      const snapshot: Snapshot = { vm, census: takeCensus(vm) };
      for (const rule of RULES) for (const finding of rule.check(snapshot)) yield `${rule.name}: ${finding}`;
    },
  },
];

interface Snapshot {
  readonly vm: Vm;
  readonly census: Census;
}

const RULES: readonly Invariant<Snapshot>[] = [
  {
    name: "mapcounts are the numbers of entries that map",
    *check({ vm, census }) {
      for (const [page, entries] of census.mappers) {
        const counted = pageMapcount(vm.memmap, page);
        if (counted !== entries.length)
          yield `${describePage(vm.memmap, page)}: ${entries.length} entries map it`;
      }
      for (const [head, entries] of census.hugeMappers) {
        if (compoundMapcount(vm.memmap, head) !== entries)
          yield `${describePage(vm.memmap, head)}: ${entries} entries map all of it`;
      }
    },
  },
  {
    name: "each mapping holds a reference",
    *check({ vm: { memmap }, census }) {
      const perHead = new Map<Page, number>();
      const hold = (head: Page, references: number): void => {
        perHead.set(head, (perHead.get(head) ?? 0) + references);
      };
      for (const [page, entries] of census.mappers) {
        const small = entries.filter((entry) => (entry.flags & Pte.huge) === 0).length;
        const head = memmap.compoundHead(page);
        hold(head, page === head ? entries.length : small);
      }
      for (const [page, entries] of census.exclusive) hold(page, entries.length);
      for (const [head, mappings] of perHead) {
        if (memmap.refcount(head) < mappings) yield `${describePage(memmap, head)}: ${mappings} mappings`;
      }
    },
  },
  {
    name: "every page is found by rmap from each of its entries",
    *check({ vm, census: { mappers, exclusive, migrating } }) {
      for (const entries of [mappers, exclusive, migrating])
        for (const [page, holders] of entries)
          for (const entry of holders) yield* unreachable(vm, page, entry);
    },
  },
  {
    name: "resident pages are counted",
    *check({ census }) {
      for (const [mm, { pages, swapEntries }] of census.resident) {
        if (mm.rssPages !== pages)
          yield `mm ${mm.id} counts ${mm.rss.join("+")} pages and its tables hold ${pages}`;
        const counted = mm.rss[Rss.swapEntries] ?? 0;
        if (counted !== swapEntries)
          yield `mm ${mm.id} counts ${counted} swap entries and its tables hold ${swapEntries}`;
      }
    },
  },
  {
    name: "LRU lists hold as many pages as are counted",
    *check({ vm, census }) {
      if (vm.charging.lruvec) return;
      for (const node of onlineNodes(vm.memory)) {
        const first = vm.lru.lruvecOfNode(node.id).firstList;
        for (const [name, list] of Object.entries(LruList))
          yield* countList(vm, census, node, name, first, list);
      }
    },
  },
  {
    name: "page tables are counted",
    *check({ vm }) {
      const tables = [...vm.addressSpaces].reduce((sum, mm) => sum + mm.pageTable.tables, 0);
      const counted = onlineNodes(vm.memory).reduce(
        (sum, node) => sum + (node.stat[NodeStat.nr_page_table_pages] ?? 0),
        0,
      );
      if (counted !== tables) yield `nr_page_table_pages is ${counted}, and there are ${tables}`;
    },
  },
  {
    name: "the pool of huge pages has what it promises",
    check: ({ vm }) => vm.hugetlb.findings(),
  },
  {
    name: "address spaces count the pages of the pool that they map",
    *check({ census }) {
      for (const [mm, pages] of census.hugetlb)
        if (mm.hugetlbPages !== pages)
          yield `mm ${mm.id} counts ${mm.hugetlbPages} pages of huge ones, and its tables hold ${pages}`;
    },
  },
  {
    name: "mappings are in order and counted",
    *check({ vm }) {
      for (const mm of vm.addressSpaces) {
        if (mm.mmapLock.writeLocked) continue;
        let end = 0;
        let pages = 0;
        for (const vma of mm.vmas) {
          if (vma.start < end || vma.end <= vma.start)
            yield `mm ${mm.id}: mapping at 0x${vma.start.toString(16)} is out of order`;
          end = vma.end;
          pages += vma.pages;
        }
        if (mm.totalVm !== pages)
          yield `mm ${mm.id} counts ${mm.totalVm} mapped pages, its mappings have ${pages}`;
      }
    },
  },
];

/** Checks one list of one node: its length, that its pages belong there, and that each mapped page has an entry. */
function* countList(
  { memmap, lru }: Vm,
  census: Census,
  node: MemoryNode,
  name: string,
  first: number,
  list: LruList,
): Generator<string, void, void> {
  let pages = 0;
  for (const page of memmap.lists.pages((first + list) as ListId)) {
    pages += 1 << memmap.compoundOrder(page);
    if (lru.listOf(page) !== list) yield `${describePage(memmap, page)} is on ${name} of node ${node.id}`;
    if (memmap.mapcount(page) > 0 && !census.mappers.has(page))
      yield `${describePage(memmap, page)} is mapped by no entry`;
  }
  const counted = node.stat[list] ?? 0;
  if (counted !== pages) yield `${name} of node ${node.id} holds ${pages} pages and counts ${counted}`;
}

/**
 * Finds a broken reverse mapping: whether a walk from the page of an entry visits the entry's mapping, at the entry's
 * address.
 */
function* unreachable(
  vm: Vm,
  page: Page,
  { mm, address, flags }: CountedEntry,
): Generator<string, void, void> {
  const { memmap } = vm;
  // The holder of the lock may be in the middle of a change.
  if (mm.mmapLock.writeLocked) return;
  const head = memmap.compoundHead(page);
  const at = ((flags & Pte.huge) !== 0 ? address + (page - head) * 4096 : address) as VirtAddr;
  const where = (): string => `0x${at.toString(16)} of mm ${mm.id}`;
  const vma = mm.vmas.at(at);
  if (!vma) {
    yield `${where()} holds a page and no mapping is there`;
    return;
  }
  if (memmap.mapping(head) === 0) return;
  const index = ((memmap.index(head) | 0) + (page - head)) | 0;
  if ((vma.pgoffOf(at) | 0) !== index) {
    yield `${where()} is page ${vma.pgoffOf(at)} of its mapping and holds ${describePage(memmap, page)}`;
    return;
  }
  const mappings = pageAnon(vm, page)
    ? vm.anonVmas.of(memmap, head)?.mappings
    : vm.mappings.of(memmap, head)?.iMmap;
  const pgoff = vma.pgoffOf(at);
  for (const candidate of mappings?.overlapping(pgoff, pgoff) ?? []) if (candidate === vma) return;
  yield `${where()} can't be found from ${describePage(memmap, page)}`;
}
