// What a struct page is made of: eight 32-bit words, half of the kernel's 64 bytes. The numbers here are the only
// description of the layout; everybody else asks the MemMap. What must be true of them together is checked as the module is
// loaded. Kernel counterparts: include/linux/mm_types.h and include/linux/page-flags.h.
import { bugOn, PAGE_SHIFT, PAGE_SIZE } from "@hetmem/kernel";

/** Bytes of Linux's struct page on 64-bit machines: what every page of memory costs. @see struct page in include/linux/mm_types.h */
export const STRUCT_PAGE_BYTES = 64;
/** Bytes of a page in our own memmap: see PAGE_WORDS. */
export const MEMMAP_PAGE_BYTES = 32;
/** Words a page. A page's first word is at `page * PAGE_WORDS`. */
export const PAGE_WORDS = 8;

/** Position of each field among a page's words. */
export const Field = {
  /** PageFlag bits, the zone and the mark of an initialised struct. Zero means that nobody has initialised it. */
  flags: 0,
  refcount: 1,
  /** Page table entries that map the page; the kernel stores one less. */
  mapcount: 2,
  /** The next page of the list that it is on; the pagemap of a ZONE_DEVICE page, which never is on one. */
  lruNext: 3,
  lruPrev: 4,
  /** Whose page it is: an address space of a file or an anon_vma. */
  mapping: 5,
  /** Position in the mapping, in pages. */
  index: 6,
  /** Buddy order while free, order of a compound head, swap entry in the swap cache, a driver's word on a device. */
  private: 7,
} as const;

/** @see enum pageflags in include/linux/page-flags.h. The bits are ours, the meanings the kernel's. */
export const PageFlag = {
  locked: 1 << 0,
  referenced: 1 << 1,
  uptodate: 1 << 2,
  dirty: 1 << 3,
  /** It is on an LRU list. */
  lru: 1 << 4,
  active: 1 << 5,
  workingset: 1 << 6,
  slab: 1 << 7,
  /** Nobody's to allocate: firmware, the kernel image, memory that isn't online. */
  reserved: 1 << 8,
  private: 1 << 9,
  writeback: 1 << 10,
  /** First page of a compound page; its order is in `private`. */
  head: 1 << 11,
  swapcache: 1 << 12,
  swapbacked: 1 << 13,
  unevictable: 1 << 14,
  mlocked: 1 << 15,
  hwpoison: 1 << 16,
  reclaim: 1 << 17,
  young: 1 << 18,
  idle: 1 << 19,
  /** Free and first of its block in the buddy allocator. */
  buddy: 1 << 20,
  /** A page table. */
  table: 1 << 21,
  /** Logically offline although its section is online: ballooned. */
  offline: 1 << 22,
  anonExclusive: 1 << 23,
  /** Holds struct pages of its own block (memmap_on_memory). */
  vmemmapSelfHosted: 1 << 24,
  /** Taken off its LRU by somebody who is going to move it. */
  isolated: 1 << 25,
  /** A page of a compound page behind its head; the head is in `private`. */
  tail: 1 << 26,
} as const;

/** Three bits of the flags word say which zone a page belongs to. */
export const ZONE_SHIFT = 27;
export const ZONE_MASK: number = 7 << ZONE_SHIFT;
/** In the zone bits: tied to no zone, as memory is between being added and going online. */
export const NO_ZONE = 7;
/** Set in every initialised struct page, so that its flags are never zero. */
export const INITIALISED: number = 1 << 30;

/** Pages in a section: 128 MiB. @see SECTION_SIZE_BITS in arch/x86/include/asm/sparsemem.h */
export const PAGES_PER_SECTION = 32_768;
export const SECTION_SHIFT = 15;
/** Pages in a subsection: 2 MiB, the granularity at which device memory may share a section. */
export const PAGES_PER_SUBSECTION = 512;
export const SUBSECTIONS_PER_SECTION = 64;
/** Bytes in a section. */
export const SECTION_SIZE: number = PAGES_PER_SECTION * PAGE_SIZE;

/** The struct page that is none. Frame 0 belongs to the firmware, so that index 0 is never anybody's page. */
export const NULL_PAGE = 0;
/** Pages that one memmap can hold: 2 TiB of memory. A JavaScript typed array ends there. */
export const MAX_PAGES: number = 2 ** 29 - PAGES_PER_SECTION;

checkFlagsWord();
bugOn(PAGE_WORDS * Int32Array.BYTES_PER_ELEMENT !== MEMMAP_PAGE_BYTES, "a page isn't as large as its words");
bugOn(
  new Set(Object.values(Field)).size !== PAGE_WORDS,
  "two fields of a page share a word, or one has none",
);
bugOn(2 ** PAGE_SHIFT !== PAGE_SIZE, "a page isn't as large as its shift says");
bugOn(2 ** SECTION_SHIFT !== PAGES_PER_SECTION, "a section isn't as large as its shift says");
bugOn(
  SUBSECTIONS_PER_SECTION * PAGES_PER_SUBSECTION !== PAGES_PER_SECTION,
  "a section isn't a whole number of subsections",
);

/** Every flag, the zone and the mark of initialisation have bits of their own, below the sign. */
function checkFlagsWord(): void {
  let taken = 0;
  for (const bits of [...Object.values(PageFlag), ZONE_MASK, INITIALISED]) {
    bugOn((taken & bits) !== 0, `two things share bits 0x${bits.toString(16)} of the flags word`);
    taken |= bits;
  }
  bugOn(taken < 0, "the flags word reaches into its sign");
}
