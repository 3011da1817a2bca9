// Invariants of pagemaps. The quick ones hold between any two steps of a task. The others walk the initialised struct
// pages of every device with a live pagemap, and cost time in proportion.
import type { Invariant, Page, Pfn } from "@hetmem/kernel";
import { describePage, PageFlag } from "@hetmem/page";
import { type MemoryNode, touchedPieces, ZoneType } from "@hetmem/zone";
import type { DevPagemap } from "./dev-pagemap.ts";
import type { Pagemaps } from "./pagemaps.ts";

export const quickPagemapInvariants: readonly Invariant<Pagemaps>[] = [
  {
    name: "a mapped frame finds its pagemap, and the frames beside it don't",
    *check(pagemaps) {
      for (const [pagemap, range] of mappedRanges(pagemaps)) {
        const { start, end } = pagemap.spans[range] ?? { start: 0, end: 0 };
        for (const frame of [start, end - 1]) {
          if (pagemaps.tree.load(frame as Pfn) !== pagemap.id)
            yield `frame 0x${frame.toString(16)} doesn't find ${pagemap}`;
        }
        for (const frame of [start - 1, end]) {
          const found = frame < 0 ? 0 : pagemaps.tree.load(frame as Pfn);
          if (found === pagemap.id && !covers(pagemap, frame))
            yield `frame 0x${frame.toString(16)} finds ${pagemap}, which it isn't of`;
        }
      }
    },
  },
  {
    name: "a live pagemap holds a reference for each page that is alive",
    *check(pagemaps) {
      for (const pagemap of pagemaps.mapped()) {
        if (pagemap.ref.dying) continue;
        let alive = 1;
        for (let range = 0; range < pagemap.mappedRanges && pagemap.idleCount === 1; range++)
          alive += pagemap.pages(range);
        if (pagemap.ref.count < alive)
          yield `${pagemap} has ${pagemap.ref.count} references, and ${alive} are pages' and its owner's`;
      }
    },
  },
  {
    name: "nothing is left of pagemaps that are gone",
    *check(pagemaps) {
      if (pagemaps.mapped().length === 0 && !pagemaps.tree.empty) yield "frames of no pagemap are entered";
    },
  },
];

export const pagemapInvariants: readonly Invariant<Pagemaps>[] = [
  ...quickPagemapInvariants,
  {
    name: "a device's page is reserved, in ZONE_DEVICE, knows its pagemap, and isn't below its idle count",
    *check(pagemaps) {
      const { memmap } = pagemaps;
      for (const [pagemap, page] of devicePages(pagemaps)) {
        if (
          pagemaps.pagemapOf(page) !== pagemap ||
          !memmap.test(page, PageFlag.reserved) ||
          memmap.refcount(page) < pagemap.idleCount
        )
          yield `${describePage(memmap, page)} of ${pagemap}`;
      }
    },
  },
  {
    name: "ZONE_DEVICE of the node spans every page of its devices",
    *check(pagemaps) {
      const { memory, memmap } = pagemaps;
      for (const [pagemap, range] of mappedRanges(pagemaps)) {
        const first = pagemap.firstPfn(range);
        const node = memory.nodes[memmap.nodeOf(memmap.pfnToPage(first))] as MemoryNode;
        const zone = node.zones[ZoneType.Device];
        if (!zone || first < zone.startPfn || pagemap.endPfn(range) > zone.endPfn)
          yield `${pagemap} is outside of ZONE_DEVICE of node ${node.id}`;
      }
    },
  },
];

/** Mapped ranges of live pagemaps. */
function* mappedRanges(pagemaps: Pagemaps): Generator<readonly [DevPagemap, number], void, void> {
  for (const pagemap of pagemaps.mapped()) {
    if (pagemap.ref.dying) continue;
    for (let range = 0; range < pagemap.mappedRanges; range++) yield [pagemap, range];
  }
}

function* devicePages(pagemaps: Pagemaps): Generator<readonly [DevPagemap, Page], void, void> {
  for (const [pagemap, range] of mappedRanges(pagemaps)) {
    const pieces = touchedPieces(pagemaps.memory, pagemap.firstPfn(range), pagemap.pages(range));
    for (const [first, pages] of pieces) for (let i = 0; i < pages; i++) yield [pagemap, (first + i) as Page];
  }
}

function covers({ spans }: DevPagemap, frame: number): boolean {
  return spans.some(({ start, end }) => frame >= start && frame < end);
}
