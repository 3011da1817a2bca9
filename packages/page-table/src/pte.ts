// What a page table entry holds: two 32-bit words, a value and flags. A present entry's value is the page it maps; one
// marked `special` maps a frame that nobody counts, by its number. An entry that isn't present is empty, or says where
// the page has gone: to swap, into a migration, to a device. Kernel counterparts: arch/x86/include/asm/pgtable_types.h,
// include/linux/swapops.h.
import type { Page, Pfn } from "@hetmem/kernel";

/** Bits of the flags word. Zero is an entry that holds nothing: pte_none(). The bits are ours. */
export const Pte = {
  /** It maps a page, which the cpu may reach unless `protnone` is set too. @see pte_present() */
  present: 1 << 0,
  write: 1 << 1,
  /** The cpu has used it since somebody looked. @see pte_young() */
  accessed: 1 << 2,
  dirty: 1 << 3,
  /** In a page middle directory: it maps 2 MiB. @see pmd_trans_huge() */
  huge: 1 << 4,
  /** The frame has no struct page that counts this mapping: the zero page, a device's registers. */
  special: 1 << 5,
  /** The page belongs to a ZONE_DEVICE pagemap. */
  devmap: 1 << 6,
  /** Written since clear_refs forgot. @see Documentation/admin-guide/mm/soft-dirty.rst */
  softDirty: 1 << 7,
  /** The cpu faults on it although it maps a page: PROT_NONE, or a NUMA hint. @see pte_protnone() */
  protnone: 1 << 8,
  /** Of an entry that isn't present: its page is this process's alone. @see pte_swp_exclusive() */
  exclusive: 1 << 9,
  /** In a directory: the value is the number of a lower table. */
  table: 1 << 10,
} as const;

/** What an entry that isn't present stands for, in bits 12 to 15. @see swp_type() in include/linux/swapops.h */
export const EntryKind = {
  none: 0,
  /** The value is a slot of the swap device in bits 17 to 21. */
  swap: 1 << 12,
  /** The value is the page that is being moved; whoever touches it waits. */
  migrationRead: 2 << 12,
  migrationReadExclusive: 3 << 12,
  migrationWrite: 4 << 12,
  /** The value is a page of a device that the cpu can't reach. */
  devicePrivateRead: 5 << 12,
  devicePrivateWrite: 6 << 12,
  /** The value is a page of ours that a device uses alone. */
  deviceExclusiveRead: 7 << 12,
  deviceExclusiveWrite: 8 << 12,
  /** The value is a page whose memory is bad. */
  hwpoison: 9 << 12,
  /** What was in swap could not be read: the value is the frame that it should have come to. @see SWP_SWAPIN_ERROR */
  swapinError: 10 << 12,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

export const KIND_MASK: number = 15 << 12;
const SWAP_TYPE_SHIFT = 17;
const SWAP_TYPE_MASK: number = 31 << SWAP_TYPE_SHIFT;
/** Frame numbers reach 40 bits: those above 32 are the top byte of the flags of a special entry. */
const PFN_HIGH_SHIFT = 24;

/** Bits that travel with a page when its entry stops being present and comes back. */
export const CARRIED_BITS: number = Pte.accessed | Pte.dirty | Pte.softDirty;

/** What an entry that isn't present stands for. @see pte_to_swp_entry() */
export function entryKind(flags: number): EntryKind {
  return (flags & KIND_MASK) as EntryKind;
}

/** Whether an entry holds something that isn't present. @see is_swap_pte() */
export function isNonPresent(flags: number): boolean {
  return (flags & Pte.present) === 0 && flags !== 0;
}

/** @see is_migration_entry() */
export function isMigration(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind >= EntryKind.migrationRead && kind <= EntryKind.migrationWrite;
}

/** @see is_device_private_entry() */
export function isDevicePrivate(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind === EntryKind.devicePrivateRead || kind === EntryKind.devicePrivateWrite;
}

/** @see is_device_exclusive_entry() */
export function isDeviceExclusive(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind === EntryKind.deviceExclusiveRead || kind === EntryKind.deviceExclusiveWrite;
}

/** Whether the entry's value is a page although it isn't present. @see is_pfn_swap_entry() */
export function holdsPage(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind >= EntryKind.migrationRead && kind <= EntryKind.hwpoison;
}

/** Flags of an entry for a slot of a swap device. */
export function swapFlags(device: number): number {
  return EntryKind.swap | (device << SWAP_TYPE_SHIFT);
}

/** Number of the swap device of a swap entry. @see swp_type() */
export function swapDevice(flags: number): number {
  return (flags & SWAP_TYPE_MASK) >>> SWAP_TYPE_SHIFT;
}

/** The value word of a special entry for a frame. */
export function specialValue(frame: Pfn): number {
  return frame | 0;
}

/** The flags of a special entry for a frame: the frame number's upper bits are among them. @see pte_mkspecial() */
export function specialFlags(frame: Pfn, flags: number): number {
  return flags | Pte.special | (Math.floor(frame / 2 ** 32) << PFN_HIGH_SHIFT);
}

/** The frame that a special entry maps. @see pte_pfn() */
export function specialPfn(value: number, flags: number): Pfn {
  return ((value >>> 0) + (flags >>> PFN_HIGH_SHIFT) * 2 ** 32) as Pfn;
}

/** The page of a present entry that isn't special, or of one that holds a page. */
export function entryPage(value: number): Page {
  return value as Page;
}
