// Ranges that user space may not map through /dev/mem. Kernel counterpart: resource_is_exclusive() in
// kernel/resource.c.
import { PAGE_SIZE, type Pfn, pfnToPhys } from "@hetmem/kernel";
import { IORESOURCE_BUSY, IORESOURCE_EXCLUSIVE, IORESOURCE_SYSTEM_RAM } from "./flags.ts";
import { firstChildFrom, type Resource } from "./resource.ts";

/** The kernel options that keep drivers' memory from user space. */
export interface StrictIomem {
  /** Exclusive busy ranges can't be mapped: CONFIG_STRICT_DEVMEM without `iomem=relaxed`. On when absent. */
  readonly strictDevmem?: boolean;
  /** No busy range can be mapped: CONFIG_IO_STRICT_DEVMEM. Off when absent. */
  readonly ioStrictDevmem?: boolean;
}

/**
 * Whether any part of a range is exclusive to the kernel. An exclusive System RAM resource always is, whatever the
 * options: its driver adds and removes memory inside it at any time (virtio-mem).
 *
 * @param start first byte
 * @param size bytes
 * @see resource_is_exclusive() in kernel/resource.c
 */
export function resourceIsExclusive(
  root: Resource,
  start: number,
  size: number,
  strict: StrictIomem = {},
): boolean {
  const { strictDevmem = true, ioStrictDevmem = false } = strict;
  const exclusiveRam = IORESOURCE_SYSTEM_RAM | IORESOURCE_EXCLUSIVE;
  for (let at = firstChildFrom(root, start); at < root.children.length; at++) {
    const child = root.children[at];
    if (!child || child.start >= start + size) break;
    if ((child.flags & exclusiveRam) === exclusiveRam) return true;
    const isBusy = (child.flags & IORESOURCE_BUSY) !== 0;
    const isExclusive = (child.flags & IORESOURCE_EXCLUSIVE) !== 0;
    if (strictDevmem && isBusy && (ioStrictDevmem || isExclusive)) return true;
    if (resourceIsExclusive(child, start, size, strict)) return true;
  }
  return false;
}

/** resourceIsExclusive() for the page at a frame. @see iomem_is_exclusive() in kernel/resource.c */
export function iomemIsExclusive(iomem: Resource, frame: Pfn, strict: StrictIomem = {}): boolean {
  return resourceIsExclusive(iomem, pfnToPhys(frame), PAGE_SIZE, strict);
}
