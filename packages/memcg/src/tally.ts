// A count of everything that cgroups pay for, made anew from the pages, slots and objects alone: what the counters are
// checked against. Slow and simple on purpose.
import type { NodeId, Page } from "@hetmem/kernel";
import { MAPPING_ANON, pageMapcount } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { NOBODY, ROOT_ID } from "./cgroup-ids.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";
import type { MemoryCgroups } from "./memory-cgroups.ts";
import type { NodeItem } from "./stat/items.ts";

/** What one cgroup itself pays for. */
export class OwnTally {
  /** Pages of processes and files, of RAM and of devices. */
  pages = 0;
  /** Pages that are the kernel's, those that its objects fill among them. */
  kernelPages = 0;
  sockets = 0;
  stocked = 0;
  slots = 0;
  /** By node and counter. */
  readonly items: Map<string, number> = new Map();

  add(node: NodeId, item: NodeItem): void {
    const key = `${node} ${item}`;
    this.items.set(key, (this.items.get(key) ?? 0) + 1);
  }
}

export interface Tally {
  readonly own: ReadonlyMap<MemoryCgroup, OwnTally>;
  /** Pages and slots that carry each id. */
  readonly pagesOf: ReadonlyMap<number, number>;
  readonly slotsOf: ReadonlyMap<number, number>;
}

/** Counts what each cgroup pays for. */
export function takeTally(cgroups: MemoryCgroups): Tally {
  const own = new Map<MemoryCgroup, OwnTally>();
  for (const cgroup of cgroups.root.subtree()) own.set(cgroup, new OwnTally());
  const tallyOf = (id: number): OwnTally => own.get(cgroups.ids.cgroup(id)) ?? new OwnTally();
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
    tally.kernelPages += Math.ceil((cgroups.ids.bytes[id] as number) / 4096);
    tally.sockets += cgroups.ids.sockets[id] as number;
  }
  return { own, pagesOf, slotsOf };
}

/** Pages that somebody pays for; each small page of a compound one is listed. */
export function ownedPages({ owners }: MemoryCgroups): Page[] {
  const pages: Page[] = [];
  // An imported name is looked up each time where modules aren't bundled, and this loop is as long as memory.
  const nobody = NOBODY;
  for (let page = 0; page < owners.length; page++) if (owners[page] !== nobody) pages.push(page as Page);
  return pages;
}

function countPage({ vm }: MemoryCgroups, page: Page, tally: OwnTally): void {
  const { memmap } = vm;
  const flags = memmap.flags(page);
  const node = memmap.nodeOf(page);
  const mapping = memmap.mapping(memmap.compoundHead(page));
  const anon = (mapping & MAPPING_ANON) !== 0;
  if ((flags & PageFlag.table) !== 0) tally.add(node, "nr_page_table_pages");
  else if (pageMapcount(memmap, page) > 0) tally.add(node, anon ? "nr_anon_pages" : "nr_mapped");
  if ((flags & PageFlag.swapcache) !== 0) tally.add(node, "nr_swapcached");
  if (anon || vm.mappings.of(memmap, page) === undefined) return;
  tally.add(node, "nr_file_pages");
  if ((flags & PageFlag.swapbacked) !== 0) tally.add(node, "nr_shmem");
  else if ((flags & PageFlag.dirty) !== 0) tally.add(node, "nr_dirty");
}
