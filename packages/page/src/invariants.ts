// Invariants of struct pages. The cost is proportional to the initialised sections.
import { type Invariant, type Page, type Pfn } from "@hetmem/kernel";
import { PAGES_PER_SECTION, PageFlag } from "./layout.ts";
import type { MemMap } from "./memmap.ts";
import { SectionFlag } from "./section-records.ts";
import { sectionToPfn } from "./section.ts";
import { describePage } from "./dump-page.ts";

export const pageInvariants: readonly Invariant<MemMap>[] = [
  {
    name: "page and frame are inverse",
    *check(memmap) {
      for (const frame of initialisedFrames(memmap)) {
        const back = memmap.pageToPfn(memmap.pfnToPage(frame));
        if (back !== frame) yield `frame 0x${frame.toString(16)} comes back as 0x${back.toString(16)}`;
      }
    },
  },
  {
    name: "counts are not negative, and a mapped page is referenced",
    *check(memmap) {
      for (const page of initialisedPages(memmap)) {
        const references = memmap.refcount(page);
        const mapped = memmap.mapcount(page);
        if (references < 0 || mapped < 0 || references < mapped) yield describePage(memmap, page);
      }
    },
  },
  {
    name: "a page in the buddy allocator has no user",
    *check(memmap) {
      for (const page of initialisedPages(memmap)) {
        if (!memmap.test(page, PageFlag.buddy)) continue;
        if (
          memmap.refcount(page) !== 0 ||
          memmap.test(page, PageFlag.lru | PageFlag.reserved | PageFlag.slab)
        ) {
          yield describePage(memmap, page);
        }
      }
    },
  },
];

/** Frames whose struct pages are initialised, by section. */
function* initialisedFrames(memmap: MemMap): Generator<Pfn, void, void> {
  for (const section of memmap.sections.present()) {
    if (!memmap.sections.has(section, SectionFlag.initialised)) continue;
    const start = sectionToPfn(section);
    for (let i = 0; i < PAGES_PER_SECTION; i++) {
      const frame = (start + i) as Pfn;
      if (memmap.pfnValid(frame) && memmap.initialised(memmap.pfnToPage(frame))) yield frame;
    }
  }
}

function* initialisedPages(memmap: MemMap): Generator<Page, void, void> {
  for (const frame of initialisedFrames(memmap)) yield memmap.pfnToPage(frame);
}
