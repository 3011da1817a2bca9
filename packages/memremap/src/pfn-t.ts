// pfn_t: a frame number with flags, as drivers pass it to mapping functions. Frame numbers and bus addresses may
// exceed 32 bits, and the kernel truncated both more than once; here values are not shifted, and values out of range
// throw. Kernel counterparts: include/linux/pfn_t.h, include/linux/dma-direct.h.
import {
  KernelBug,
  KernelError,
  PAGE_SIZE,
  type Page,
  type Pfn,
  type PhysAddr,
  physAddr,
} from "@hetmem/kernel";
import type { MemMap } from "@hetmem/page";

/** A frame number and its PfnFlag bits. @see pfn_t */
export type PfnT = number & { readonly __pfnT: never };

/** @see PFN_FLAGS_MASK in include/linux/pfn_t.h */
export const PfnFlag = {
  /** Used in scatterlist entries only. */
  SG_CHAIN: 1 << 0,
  SG_LAST: 1 << 1,
  /** The frame isn't covered by the memmap by default. */
  DEV: 1 << 2,
  /** A pagemap gave the frame a struct page. */
  MAP: 1 << 3,
  SPECIAL: 1 << 4,
} as const;

/** Number of frames in 52 bits of physical address. */
const FRAMES = 2 ** 40;

/** Combines a frame and flags. @throws KernelBug when the number is out of range @see __pfn_to_pfn_t() */
export function pfnToPfnT(frame: Pfn, flags = 0): PfnT {
  if (!(frame >= 0 && frame < FRAMES)) throw new KernelBug(`${frame} is not a frame`);
  return (flags * FRAMES + frame) as PfnT;
}

/** @see phys_to_pfn_t() */
export function physToPfnT(address: PhysAddr, flags = 0): PfnT {
  return pfnToPfnT(Math.floor(address / PAGE_SIZE) as Pfn, flags);
}

/** @see page_to_pfn_t() */
export function pageToPfnT(memmap: MemMap, page: Page): PfnT {
  return pfnToPfnT(memmap.pageToPfn(page));
}

/** @see pfn_t_to_pfn() */
export function pfnTToPfn(value: PfnT): Pfn {
  return (value % FRAMES) as Pfn;
}

/** PfnFlag bits. */
export function pfnTFlags(value: PfnT): number {
  return Math.floor(value / FRAMES);
}

/** @see pfn_t_to_phys() @see db78c22230d0: a frame with flags needs 64 bits wherever an address does */
export function pfnTToPhys(value: PfnT): PhysAddr {
  return physAddr(pfnTToPfn(value) * PAGE_SIZE);
}

/** Whether the frame has a struct page. @see pfn_t_has_page() */
export function pfnTHasPage(value: PfnT): boolean {
  const flags = pfnTFlags(value);
  return (flags & PfnFlag.MAP) !== 0 || (flags & PfnFlag.DEV) === 0;
}

/** The struct page of the frame; undefined when it has none. @see pfn_t_to_page() */
export function pfnTToPage(memmap: MemMap, value: PfnT): Page | undefined {
  return pfnTHasPage(value) ? memmap.pfnToPage(pfnTToPfn(value)) : undefined;
}

/**
 * Whether page table entries of the frame need the devmap bit, so that gup takes a reference on the pagemap.
 *
 * @see pfn_t_devmap()
 */
export function pfnTDevmap(value: PfnT): boolean {
  const both = PfnFlag.DEV | PfnFlag.MAP;
  return (pfnTFlags(value) & both) === both;
}

/** The DMA addressing of a device. */
export interface DmaView {
  /** Number of address bits that the device can drive. */
  readonly addressBits: number;
  /** Offset in bytes from physical to bus addresses. */
  readonly offset: number;
}

/**
 * The bus address of a physical range for a device.
 *
 * @param size bytes
 * @returns the bus address
 * @throws KernelError EIO when the range exceeds the device's address bits
 * @see phys_to_dma(), dma_capable()
 */
export function physToDma({ addressBits, offset }: DmaView, address: PhysAddr, size: number): number {
  const bus = address + offset;
  if (bus >= 0 && bus + size <= 2 ** addressBits) return bus;
  throw new KernelError(
    "EIO",
    `the device reaches ${addressBits} bits of address, and 0x${address.toString(16)}+0x${size.toString(16)} is further up`,
  );
}

/** @see dma_to_phys() */
export function dmaToPhys({ offset }: DmaView, bus: number): PhysAddr {
  return physAddr(bus - offset);
}
