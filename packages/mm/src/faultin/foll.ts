// Flags of get_user_pages(): an object for callers, and bits for the implementation. The flags say which access is
// wanted, whether the call may sleep or fault, and whether pages get references or pins. Kernel counterpart: FOLL_*
// in include/linux/mm_types.h (6.1: include/linux/mm.h).

/** Options of getUserPages() and pinUserPages(). Without any, pages are taken for reading. */
export interface FollOptions {
  /** For writing: copy-on-write happens now. @see FOLL_WRITE */
  readonly write?: boolean;
  /** Overrides the protection of the mapping, as ptrace does. @see FOLL_FORCE */
  readonly force?: boolean;
  /** For longer than one I/O: pages in ZONE_MOVABLE or CMA migrate out first. Pins only. @see FOLL_LONGTERM */
  readonly longterm?: boolean;
  /** Doesn't wait for swap, migration or a device. @see FOLL_NOWAIT */
  readonly nowait?: boolean;
  /** Takes present pages only, without faults. @see FOLL_NOFAULT */
  readonly noFault?: boolean;
  /** EFAULT for holes and the zero page, which a core dump leaves out. @see FOLL_DUMP */
  readonly dump?: boolean;
  /** Anonymous mappings only. @see FOLL_ANON */
  readonly anon?: boolean;
  /** EHWPOISON rather than EFAULT where memory is bad. @see FOLL_HWPOISON */
  readonly hwpoison?: boolean;
  /** A huge page is split first, so that each small page has an entry of its own. @see FOLL_SPLIT_PMD */
  readonly splitPmd?: boolean;
}

/** FollOptions as bits, and internal bits. The values are those of 6.1, since gup_test takes them from its user. */
export const Foll = {
  WRITE: 0x01,
  /** Marks pages accessed, and with WRITE also dirty. */
  TOUCH: 0x02,
  /** Takes a reference. */
  GET: 0x04,
  DUMP: 0x08,
  FORCE: 0x10,
  NOWAIT: 0x20,
  NOFAULT: 0x80,
  HWPOISON: 0x100,
  /** The address space of another process. */
  REMOTE: 0x2000,
  ANON: 0x8000,
  LONGTERM: 0x10000,
  SPLIT_PMD: 0x20000,
  /** Takes a pin, for reading or writing the contents of the page. */
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
