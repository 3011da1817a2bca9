// What a caller of get_user_pages() wants of the pages, as an object for people and as bits inside. Kernel counterpart:
// FOLL_* in include/linux/mm_types.h (6.1: include/linux/mm.h).

/** What getUserPages() and pinUserPages() are asked for. All absent: pages to read from. */
export interface FollOptions {
  /** Pages to write to: copies on write are made now. @see FOLL_WRITE */
  readonly write?: boolean;
  /** Whatever the mapping allows now, as a debugger does. @see FOLL_FORCE */
  readonly force?: boolean;
  /** For longer than an I/O: pages move out of where they would be in the way. Pins only. @see FOLL_LONGTERM */
  readonly longterm?: boolean;
  /** What is there without waiting: no swap, no migration, no device is waited for. @see FOLL_NOWAIT */
  readonly nowait?: boolean;
  /** What is there without a fault. @see FOLL_NOFAULT */
  readonly noFault?: boolean;
  /** Holes and the zero page are errors: for who writes a core file. @see FOLL_DUMP */
  readonly dump?: boolean;
  /** Anonymous mappings only. @see FOLL_ANON */
  readonly anon?: boolean;
  /** EHWPOISON rather than EFAULT where memory is bad. @see FOLL_HWPOISON */
  readonly hwpoison?: boolean;
  /** A huge page is split first, so that each small page has an entry of its own. @see FOLL_SPLIT_PMD */
  readonly splitPmd?: boolean;
}

/** The same as bits, and those that the functions set themselves. The numbers are 6.1's: gup_test takes them from its user. */
export const Foll = {
  WRITE: 0x01,
  /** Marks pages as used, and as dirty where they are to be written. */
  TOUCH: 0x02,
  /** Takes a reference. */
  GET: 0x04,
  DUMP: 0x08,
  FORCE: 0x10,
  NOWAIT: 0x20,
  NOFAULT: 0x80,
  HWPOISON: 0x100,
  /** Somebody else's address space. */
  REMOTE: 0x2000,
  ANON: 0x8000,
  LONGTERM: 0x10000,
  SPLIT_PMD: 0x20000,
  /** Takes a pin: somebody is going to read or write the page's contents. */
  PIN: 0x40000,
} as const;

/** The bits of an options object. */
export function follFlags(options: FollOptions): number {
  return (
    (options.write === true ? Foll.WRITE : 0) |
    (options.force === true ? Foll.FORCE : 0) |
    (options.longterm === true ? Foll.LONGTERM : 0) |
    (options.nowait === true ? Foll.NOWAIT : 0) |
    (options.noFault === true ? Foll.NOFAULT : 0) |
    (options.dump === true ? Foll.DUMP : 0) |
    (options.anon === true ? Foll.ANON : 0) |
    (options.hwpoison === true ? Foll.HWPOISON : 0) |
    (options.splitPmd === true ? Foll.SPLIT_PMD : 0)
  );
}
