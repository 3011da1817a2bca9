// The layout of a struct page: eight 32-bit words, half of the kernel's 64 bytes. Only this file, and the hot paths
// that say so, know the layout; other code uses MemMap. Relations between the constants are checked when the module
// is loaded. Kernel counterparts: include/linux/mm_types.h and include/linux/page-flags.h.
import { bugOn, type Page, PAGE_SHIFT, PAGE_SIZE } from "@hetmem/kernel";

/** Bytes of Linux's struct page on 64-bit machines. @see struct page in include/linux/mm_types.h */
export const STRUCT_PAGE_BYTES = 64;
/** Bytes of a struct page in this memmap: see PAGE_WORDS. */
export const MEMMAP_PAGE_BYTES = 32;
/** Words per struct page. The first word of a page is at `page * PAGE_WORDS`. */
export const PAGE_WORDS = 8;

/** Position of each field among a page's words. */
export const Field = {
  /** PageFlag bits, zone bits, and the INITIALISED bit. Zero in an uninitialised struct page. */
  flags: 0,
  refcount: 1,
  /** Number of page table entries that map the page; the kernel stores one less. */
  mapcount: 2,
  /** Next page of the list; for a ZONE_DEVICE page, which is never on a list, the number of its pagemap. */
  lruNext: 3,
  lruPrev: 4,
  /** The address space of a file, or an anon_vma. */
  mapping: 5,
  /** Position in the mapping, in pages. */
  index: 6,
  /**
   * Buddy order of a free block, order of a compound head, head of a tail, swap entry in the swap cache, or a
   * driver's word.
   */
  private: 7,
} as const;

/** @see enum pageflags in include/linux/page-flags.h. The bits are ours, the meanings the kernel's. */
export const PageFlag = {
  locked: 1 << 0,
  referenced: 1 << 1,
  uptodate: 1 << 2,
  dirty: 1 << 3,
  /** On an LRU list. */
  lru: 1 << 4,
  active: 1 << 5,
  workingset: 1 << 6,
  slab: 1 << 7,
  /** Not available to the allocator: firmware, the kernel image, offline memory. */
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
  /** First page of a free block in the buddy allocator. */
  buddy: 1 << 20,
  /** A page table. */
  table: 1 << 21,
  /** Logically offline in an online section, such as a ballooned page. */
  offline: 1 << 22,
  anonExclusive: 1 << 23,
  /** Holds struct pages of its own block (memmap_on_memory). */
  vmemmapSelfHosted: 1 << 24,
  /** Isolated from its LRU list for migration. */
  isolated: 1 << 25,
  /** A tail page of a compound page; the head is in `private`. */
  tail: 1 << 26,
} as const;

/** Position of the three zone bits in the flags word. */
export const ZONE_SHIFT = 27;
export const ZONE_MASK: number = 7 << ZONE_SHIFT;
/** Value of the zone bits for no zone: memory that is added and not yet online. */
export const NO_ZONE = 7;
/** Set in every initialised struct page, so that its flags word is never zero. */
export const INITIALISED: number = 1 << 30;

/** Pages in a section: 128 MiB. @see SECTION_SIZE_BITS in arch/x86/include/asm/sparsemem.h */
export const PAGES_PER_SECTION = 32_768;
export const SECTION_SHIFT = 15;
/** Pages in a subsection: 2 MiB, the granularity at which device memory may share a section. */
export const PAGES_PER_SUBSECTION = 512;
export const SUBSECTIONS_PER_SECTION = 64;
/** Bytes in a section. */
export const SECTION_SIZE: number = PAGES_PER_SECTION * PAGE_SIZE;

/** The null page. Frame 0 is reserved by the firmware, so index 0 is never an allocated page. */
export const NULL_PAGE: Page = 0 as Page;
/** Maximum number of pages of a memmap: 2 TiB of memory, the limit of a typed array. */
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

/** Checks that flags, zone and INITIALISED have distinct bits below the sign bit. */
function checkFlagsWord(): void {
  let taken = 0;
  for (const bits of [...Object.values(PageFlag), ZONE_MASK, INITIALISED]) {
    bugOn((taken & bits) !== 0, `two things share bits 0x${bits.toString(16)} of the flags word`);
    taken |= bits;
  }
  bugOn(taken < 0, "the flags word reaches into its sign");
}
