// pfn_t: a frame with what is known about it, as drivers hand it to whoever maps it. A frame may be wider than 32 bits, as
// may a bus address, and both were cut off more than once; here nothing is shifted, and what doesn't fit is an error.
// Kernel counterparts: include/linux/pfn_t.h, include/linux/dma-direct.h.
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

/** A frame and its PfnFlag bits. @see pfn_t */
export type PfnT = number & { readonly __pfnT: never };

/** @see PFN_FLAGS_MASK in include/linux/pfn_t.h */
export const PfnFlag = {
  /** Not for struct pages: an entry of a scatterlist. */
  SG_CHAIN: 1 << 0,
  SG_LAST: 1 << 1,
  /** The memmap of the machine doesn't cover it by default. */
  DEV: 1 << 2,
  /** A pagemap gave it a struct page. */
  MAP: 1 << 3,
  SPECIAL: 1 << 4,
} as const;

/** Frames end here: 52 bits of physical address. */
const FRAMES = 2 ** 40;

/** @throws KernelBug for what isn't a frame @see __pfn_to_pfn_t() */
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

/** Whether there is a struct page. @see pfn_t_has_page() */
export function pfnTHasPage(value: PfnT): boolean {
  const flags = pfnTFlags(value);
  return (flags & PfnFlag.MAP) !== 0 || (flags & PfnFlag.DEV) === 0;
}

/** The struct page, undefined where there is none. @see pfn_t_to_page() */
export function pfnTToPage(memmap: MemMap, value: PfnT): Page | undefined {
  return pfnTHasPage(value) ? memmap.pfnToPage(pfnTToPfn(value)) : undefined;
}

/** Whether a page table entry for it has to be marked, so that gup takes a reference on the pagemap. @see pfn_t_devmap() */
export function pfnTDevmap(value: PfnT): boolean {
  const both = PfnFlag.DEV | PfnFlag.MAP;
  return (pfnTFlags(value) & both) === both;
}

/** How a device sees physical memory. */
export interface DmaView {
  /** Bits of an address that it can put on the bus. */
  readonly addressBits: number;
  /** What is added to a physical address. */
  readonly offset: number;
}

/**
 * The bus address of a physical range for a device.
 *
 * @param size bytes
 * @throws KernelError EIO when the device can't put all of it on the bus
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
