// Architecture hooks of memremap(): whether RAM may be reached through the direct map, and whether a new mapping is
// encrypted. With memory encryption the direct map is encrypted, so data that the firmware wrote unencrypted needs a
// mapping of its own. Kernel counterpart: arch_memremap_wb() and arch_memremap_can_ram_remap().
import type { ByteRange } from "./policies.ts";

/** Mapping modes that a caller of memremap() accepts, as bits. @see MEMREMAP_WB in include/linux/io.h */
export const Memremap = {
  /** Write-back, the mode of RAM. */
  WB: 1 << 0,
  WT: 1 << 1,
  WC: 1 << 2,
  /** The memory is encrypted and must be mapped so. */
  ENC: 1 << 3,
  /** The memory isn't encrypted. */
  DEC: 1 << 4,
} as const;

/** Port: the architecture's hooks. */
export interface ArchMemremap {
  /** Whether the direct map can be used for this RAM. @see arch_memremap_can_ram_remap() */
  canRamRemap(range: ByteRange, flags: number): boolean;
  /** Whether mappings of the range are encrypted. */
  encrypts(range: ByteRange): boolean;
}

/** x86 without memory encryption. */
export const plainMemory: ArchMemremap = { canRamRemap: () => true, encrypts: () => false };

/**
 * x86 with memory encryption (SME): data left by the firmware, such as setup_data, isn't encrypted.
 *
 * @param inTheClear whether a range holds unencrypted data
 * @see arch_memremap_can_ram_remap() in arch/x86/mm/ioremap.c
 * @see 8f716c9b5feb
 */
export function encryptedMemory(inTheClear: (range: ByteRange) => boolean): ArchMemremap {
  return {
    canRamRemap: (range, flags) =>
      (flags & Memremap.ENC) !== 0 || ((flags & Memremap.DEC) === 0 && !inTheClear(range)),
    encrypts: (range) => !inTheClear(range),
  };
}
