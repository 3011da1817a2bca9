// A census of all page table entries, taken from the tables alone. invariants.ts checks the counters against it:
// mapcounts, references, rss, swap entries and pages of the hugetlb pool. Slow and simple on purpose. The kernel has
// no counterpart.
import type { Page, VirtAddr } from "@hetmem/kernel";
import {
  ENTRIES,
  EntryKind,
  entryKind,
  isDeviceExclusive,
  isDevicePrivate,
  isMigration,
  NO_ENTRY,
  PMD_SIZE,
  Pte,
  swapDevice,
  swapEntry,
  TASK_SIZE,
} from "@hetmem/page-table";
import type { MmStruct } from "./mm-struct.ts";
import type { Vm } from "./vm.ts";

/** A page table entry that isn't empty. */
export interface CountedEntry {
  readonly mm: MmStruct;
  readonly address: VirtAddr;
  readonly value: number;
  readonly flags: number;
}

export interface Census {
  /**
   * Entries that map a page, by page: present and device-private ones. A huge entry is listed for each of its small
   * pages.
   */
  readonly mappers: ReadonlyMap<Page, readonly CountedEntry[]>;
  /** Device-exclusive entries, by page. They hold a reference and no mapcount. */
  readonly exclusive: ReadonlyMap<Page, readonly CountedEntry[]>;
  /** Number of huge entries, by head page. They are in `mappers`, too. */
  readonly hugeMappers: ReadonlyMap<Page, number>;
  /** Migration entries, by page. */
  readonly migrating: ReadonlyMap<Page, readonly CountedEntry[]>;
  /** Number of swap entries, by value. */
  readonly swapped: ReadonlyMap<number, number>;
  /** By address space: pages that rss counts, files and shmem together, and swap entries. */
  readonly resident: ReadonlyMap<MmStruct, { readonly pages: number; readonly swapEntries: number }>;
  /** By address space: mapped pages of the hugetlb pool, in small pages. They don't count as resident. */
  readonly hugetlb: ReadonlyMap<MmStruct, number>;
}

/** Takes the census of all address spaces of a machine. */
export function takeCensus(vm: Vm): Census {
  const mappers = new Map<Page, CountedEntry[]>();
  const hugeMappers = new Map<Page, number>();
  const exclusive = new Map<Page, CountedEntry[]>();
  const migrating = new Map<Page, CountedEntry[]>();
  const swapped = new Map<number, number>();
  const resident = new Map<MmStruct, { pages: number; swapEntries: number }>();
  const hugetlb = new Map<MmStruct, number>();
  for (const mm of vm.addressSpaces) {
    const counts = { pages: 0, swapEntries: 0 };
    hugetlb.set(mm, 0);
    resident.set(mm, counts);
    for (const entry of entriesOf(mm)) {
      const page = entry.value as Page;
      if ((entry.flags & (Pte.huge | Pte.devmap)) === (Pte.huge | Pte.devmap)) {
        // Pages of devices are not counted.
        continue;
      } else if ((entry.flags & Pte.huge) !== 0) {
        hugeMappers.set(page, (hugeMappers.get(page) ?? 0) + 1);
        for (let i = 0; i < ENTRIES; i++) push(mappers, (page + i) as Page, entry);
        if (vm.hugetlb.owns(page)) hugetlb.set(mm, (hugetlb.get(mm) ?? 0) + ENTRIES);
        else counts.pages += ENTRIES;
      } else if (mapsPage(entry.flags)) {
        push(mappers, page, entry);
        counts.pages++;
      } else if (isDeviceExclusive(entry.flags)) {
        push(exclusive, page, entry);
        counts.pages++;
      } else if (isMigration(entry.flags)) {
        push(migrating, page, entry);
        counts.pages++;
      } else if (entryKind(entry.flags) === EntryKind.swap) {
        const slot = swapEntry(swapDevice(entry.flags), entry.value);
        swapped.set(slot, (swapped.get(slot) ?? 0) + 1);
        counts.swapEntries++;
      }
    }
  }
  return { mappers, exclusive, hugeMappers, migrating, swapped, resident, hugetlb };
}

/** Every entry of an address space that isn't empty. A huge entry is one entry. */
function entriesOf(mm: MmStruct): CountedEntry[] {
  const { pageTable } = mm;
  const { words } = pageTable;
  const end = TASK_SIZE as VirtAddr;
  const found: CountedEntry[] = [];
  for (let at = pageTable.nextPopulated(0 as VirtAddr, end); at < end;) {
    const pmd = pageTable.findPmd(at);
    const table = pageTable.tableUnder(pmd);
    if (table === NO_ENTRY) {
      found.push({ mm, address: at, value: pageTable.value(pmd), flags: pageTable.flags(pmd) });
    } else {
      const last = table + ENTRIES;
      for (
        let entry = nextNonEmpty(words, table, last);
        entry < last;
        entry = nextNonEmpty(words, entry + 1, last)
      ) {
        const [value, flags] = [pageTable.value(entry), pageTable.flags(entry)];
        found.push({ mm, address: (at + (entry - table) * 4096) as VirtAddr, value, flags });
      }
    }
    at = pageTable.nextPopulated((at + PMD_SIZE) as VirtAddr, end);
  }
  return found;
}

/** The first non-empty entry in [from, end); `end` when there is none. Most tables are nearly empty. */
function nextNonEmpty(words: Int32Array, from: number, end: number): number {
  let at = (from << 1) | 1;
  const last = (end << 1) | 1;
  while (at < last && words[at] === 0) at += 2;
  return at >> 1;
}

function mapsPage(flags: number): boolean {
  if ((flags & Pte.present) !== 0) return (flags & (Pte.special | Pte.devmap)) === 0;
  return isDevicePrivate(flags);
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
