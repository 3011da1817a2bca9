// Invariants of memory cgroups, which hold after every step of every task: each counter is the sum of the charges to
// its cgroup and descendants, every charged page is in use and on an LRU list of its cgroup, and device pages are
// charged to online cgroups.
import type { Invariant } from "@hetmem/kernel";
import { LruList, type Lruvec } from "@hetmem/mm/lru";
import { describePage, type ListId } from "@hetmem/page";
import { onlineNodes, ZoneType } from "@hetmem/zone";
import type { MemoryCgroup } from "./memory-cgroup.ts";
import type { MemoryCgroups } from "./memory-cgroups.ts";
import { type Counted, ownedPages, takeTally, TALLIED, type Tally } from "./tally.ts";

export const memcgInvariants: readonly Invariant<MemoryCgroups>[] = [
  {
    name: "counters are the sums of what is charged",
    *check(cgroups) {
      const tally = takeTally(cgroups);
      for (const [cgroup, sum] of tally.sums) {
        const { kernelPages, pages, sockets, stocked, slots } = sum;
        yield* counterIs(cgroup, "memory", kernelPages + pages + sockets + stocked);
        yield* counterIs(cgroup, "swap", slots);
        yield* counterIs(cgroup, "kmem", kernelPages);
        yield* statIs(cgroups, sum, cgroup);
      }
      yield* idsAgree(cgroups, tally);
    },
  },
  {
    name: "what is paid for is in use, and what is a device's isn't a removed cgroup's",
    *check(cgroups) {
      const { memmap } = cgroups.memory;
      for (const page of ownedPages(cgroups)) {
        const head = memmap.compoundHead(page);
        const ofDevice = memmap.zoneOf(head) === ZoneType.Device;
        if (ofDevice ? cgroups.ofPage(page)?.online === false : memmap.refcount(head) <= 0)
          yield `${cgroups.ofPage(page)?.path} pays for ${describePage(memmap, page)}`;
      }
    },
  },
  {
    name: "pages are on the lists of whoever pays",
    *check(cgroups) {
      for (const { id } of onlineNodes(cgroups.memory))
        for (const lruvec of cgroups.lruvecsOn(id)) yield* listsOf(cgroups, lruvec);
    },
  },
  {
    name: "a removed cgroup is there as long as it pays for something",
    *check(cgroups) {
      for (const cgroup of cgroups.root.subtree())
        if (!cgroup.online && cgroup.firstChild === undefined && !cgroups.ids.isInUse(cgroup.id))
          yield `${cgroup.path} has nothing left`;
    },
  },
];

function* counterIs(
  cgroup: MemoryCgroup,
  name: "memory" | "swap" | "kmem",
  pages: number,
): Generator<string, void, void> {
  const { usage } = cgroup[name];
  if (usage !== pages) yield `${name} of ${cgroup.path} counts ${usage} pages, and ${pages} are charged`;
}

function* statIs(cgroups: MemoryCgroups, sum: Counted, cgroup: MemoryCgroup): Generator<string, void, void> {
  for (const { id } of onlineNodes(cgroups.memory)) {
    for (const item of TALLIED) {
      const pages = sum.item(id, item);
      const counted = cgroups.stats.node(cgroup, id, item);
      if (counted !== pages)
        yield `${item} of ${cgroup.path} on node ${id} is ${counted}, and ${pages} pages are there`;
    }
  }
}

/** The charges per id match the pages and slots with that id. */
function* idsAgree(
  { ids }: MemoryCgroups,
  { pagesOf: pages, slotsOf: slots }: Tally,
): Generator<string, void, void> {
  ids.settle();
  for (let id = 1; id < ids.end; id++) {
    if (ids.pages[id] !== (pages.get(id) ?? 0))
      yield `id ${id} counts ${ids.pages[id]} pages, and ${pages.get(id) ?? 0} carry it`;
    if (ids.slots[id] !== (slots.get(id) ?? 0))
      yield `id ${id} counts ${ids.slots[id]} swap slots, and ${slots.get(id) ?? 0} carry it`;
  }
}

function* listsOf({ vm }: MemoryCgroups, lruvec: Lruvec): Generator<string, void, void> {
  const { memmap, lru } = vm;
  for (const [name, list] of Object.entries(LruList)) {
    let pages = 0;
    for (const page of memmap.lists.pages((lruvec.firstList + list) as ListId)) {
      pages += 1 << memmap.compoundOrder(page);
      if (lru.lruvecOf(page) !== lruvec || lru.listOf(page) !== list)
        yield `${describePage(memmap, page)} is on ${name} of lists ${lruvec.id}`;
    }
    const counted = lru.size(lruvec, list, ZoneType.Movable);
    if (counted !== pages) yield `${name} of lists ${lruvec.id} holds ${pages} pages and counts ${counted}`;
  }
}
