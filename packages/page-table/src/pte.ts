// A page table entry: two 32-bit words, a value and flags. The value of a present entry is the page it maps; that of a
// `special` one is the number of a frame whose mappings aren't counted. An entry that isn't present is empty, or tells
// where the page is: on a swap device, under migration, on a device. Kernel counterparts:
// arch/x86/include/asm/pgtable_types.h, include/linux/swapops.h.
import type { Page, Pfn } from "@hetmem/kernel";

/** Bits of the flags word, numbered by this project. All bits are zero in an empty entry. @see pte_none() */
export const Pte = {
  /** The entry maps a page. The CPU can access the page unless `protnone` is set, too. @see pte_present() */
  present: 1 << 0,
  write: 1 << 1,
  /** The CPU has used the entry since the bit was last cleared. @see pte_young() */
  accessed: 1 << 2,
  dirty: 1 << 3,
  /** The entry is in a page middle directory and maps 2 MiB. @see pmd_trans_huge() */
  huge: 1 << 4,
  /** The mapping isn't counted in a struct page: the zero page, registers of a device. @see pte_special() */
  special: 1 << 5,
  /** The page belongs to a ZONE_DEVICE pagemap. */
  devmap: 1 << 6,
  /** The page was written since the last write of 4 to clear_refs. @see Documentation/admin-guide/mm/soft-dirty.rst */
  softDirty: 1 << 7,
  /** The entry maps a page, and an access by the CPU faults: PROT_NONE, or a NUMA hint. @see pte_protnone() */
  protnone: 1 << 8,
  /** The page of an entry that isn't present belongs to this process exclusively. @see pte_swp_exclusive() */
  exclusive: 1 << 9,
  /** The entry is in a directory, and its value is the number of the table below it. */
  table: 1 << 10,
} as const;

/** Kind of an entry that isn't present, in bits 12 to 15 of the flags. @see swp_type() in include/linux/swapops.h */
export const EntryKind = {
  none: 0,
  /** The value is a slot of a swap device. Bits 17 to 21 of the flags are the number of the device. */
  swap: 1 << 12,
  /** The value is a page under migration. A task that accesses it waits for the end of the migration. */
  migrationRead: 2 << 12,
  migrationReadExclusive: 3 << 12,
  migrationWrite: 4 << 12,
  /** The value is a page of device memory that the CPU can't access. */
  devicePrivateRead: 5 << 12,
  devicePrivateWrite: 6 << 12,
  /** The value is a page of system RAM to which a device has exclusive access. */
  deviceExclusiveRead: 7 << 12,
  deviceExclusiveWrite: 8 << 12,
  /** The value is a page with a memory error. */
  hwpoison: 9 << 12,
  /**
   * Swap-in failed to read the page. The value is the frame the contents were to be read into.
   *
   * @see SWP_SWAPIN_ERROR
   */
  swapinError: 10 << 12,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** Bits of the flags word that hold an EntryKind. */
export const KIND_MASK: number = 15 << 12;
const SWAP_TYPE_SHIFT = 17;
const SWAP_TYPE_MASK: number = 31 << SWAP_TYPE_SHIFT;
/** Frame numbers have up to 40 bits. The upper 8 are the top byte of the flags of a special entry. */
const PFN_HIGH_SHIFT = 24;

/** Flags that are kept when a present entry becomes one of another kind, and when that becomes present again. */
export const CARRIED_BITS: number = Pte.accessed | Pte.dirty | Pte.softDirty;

/** The kind of an entry that isn't present; EntryKind.none for an empty one. @see pte_to_swp_entry() */
export function entryKind(flags: number): EntryKind {
  return (flags & KIND_MASK) as EntryKind;
}

/** Whether an entry is neither present nor empty. @see is_swap_pte() */
export function isNonPresent(flags: number): boolean {
  return (flags & Pte.present) === 0 && flags !== 0;
}

/** Whether an entry's page is under migration. @see is_migration_entry() */
export function isMigration(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind >= EntryKind.migrationRead && kind <= EntryKind.migrationWrite;
}

/** Whether an entry's page is in device memory. @see is_device_private_entry() */
export function isDevicePrivate(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind === EntryKind.devicePrivateRead || kind === EntryKind.devicePrivateWrite;
}

/** Whether a device has exclusive access to an entry's page. @see is_device_exclusive_entry() */
export function isDeviceExclusive(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind === EntryKind.deviceExclusiveRead || kind === EntryKind.deviceExclusiveWrite;
}

/** Whether an entry that isn't present has a page as its value. @see is_pfn_swap_entry() */
export function holdsPage(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind >= EntryKind.migrationRead && kind <= EntryKind.hwpoison;
}

/** The flags of a swap entry. @param device number of the swap device, 0 to 31 */
export function swapFlags(device: number): number {
  return EntryKind.swap | (device << SWAP_TYPE_SHIFT);
}

/** The number of the swap device of a swap entry. @see swp_type() */
export function swapDevice(flags: number): number {
  return (flags & SWAP_TYPE_MASK) >>> SWAP_TYPE_SHIFT;
}

/** The value word of a special entry: the lower 32 bits of the frame number. */
export function specialValue(frame: Pfn): number {
  return frame | 0;
}

/**
 * The flags of a special entry: `flags`, Pte.special, and the upper 8 bits of the frame number.
 *
 * @see pte_mkspecial()
 */
export function specialFlags(frame: Pfn, flags: number): number {
  return flags | Pte.special | (Math.floor(frame / 2 ** 32) << PFN_HIGH_SHIFT);
}

/** The frame number of a special entry, from both of its words. @see pte_pfn() */
export function specialPfn(value: number, flags: number): Pfn {
  return ((value >>> 0) + (flags >>> PFN_HIGH_SHIFT) * 2 ** 32) as Pfn;
}

/** The page of a present entry that isn't special, or of an entry for which holdsPage() is true. */
export function entryPage(value: number): Page {
  return value as Page;
}
