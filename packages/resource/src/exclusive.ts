// Whether /dev/mem keeps its hands off a range. Kernel counterpart: resource_is_exclusive() in kernel/resource.c.
import { PAGE_SIZE, type Pfn, pfnToPhys } from "@hetmem/kernel";
import { IORESOURCE_BUSY, IORESOURCE_EXCLUSIVE, IORESOURCE_SYSTEM_RAM } from "./flags.ts";
import { firstChildFrom, type Resource } from "./resource.ts";

/** How strictly drivers' memory is kept from user space. */
export interface StrictIomem {
  /** Exclusive busy ranges are kept: CONFIG_STRICT_DEVMEM without `iomem=relaxed`. */
  readonly strictDevmem?: boolean;
  /** All busy ranges are kept: CONFIG_IO_STRICT_DEVMEM. */
  readonly ioStrictDevmem?: boolean;
}

/**
 * Whether any of a range is the kernel's alone. RAM in a range that its driver made exclusive always is, even where no
 * RAM is at the moment: the driver adds and removes it as it likes.
 *
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

/** The same for the page of a frame. @see iomem_is_exclusive() in kernel/resource.c */
export function iomemIsExclusive(iomem: Resource, frame: Pfn, strict: StrictIomem = {}): boolean {
  return resourceIsExclusive(iomem, pfnToPhys(frame), PAGE_SIZE, strict);
}
