// What the architecture decides about memremap(): how write-back memory that isn't RAM is mapped, and whether RAM may be
// reached through the direct map. With memory encryption the direct map is encrypted, so that what the firmware wrote in
// the clear must be mapped apart. Kernel counterpart: arch_memremap_wb() and arch_memremap_can_ram_remap().
import type { ByteRange } from "./policies.ts";

/** How memory is to be mapped: what a caller can do with, any of them. @see MEMREMAP_WB in include/linux/io.h */
export const Memremap = {
  /** Write-back, as RAM is. */
  WB: 1 << 0,
  WT: 1 << 1,
  WC: 1 << 2,
  /** It must be decrypted on the way: it is encrypted. */
  ENC: 1 << 3,
  /** It isn't encrypted. */
  DEC: 1 << 4,
} as const;

/** Port: the architecture's hooks. */
export interface ArchMemremap {
  /** Whether the direct map shows what is in this RAM. @see arch_memremap_can_ram_remap() */
  canRamRemap(range: ByteRange, flags: number): boolean;
  /** Whether mappings of it are encrypted. */
  encrypts(range: ByteRange): boolean;
}

/** x86 without memory encryption. */
export const plainMemory: ArchMemremap = { canRamRemap: () => true, encrypts: () => false };

/**
 * x86 with memory encryption: what the firmware left, such as setup data, isn't encrypted.
 *
 * @param inTheClear whether a range holds such data
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
