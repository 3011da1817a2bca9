// Searches and walks for ranges of a kind. A search descends into children, since RAM added by a driver lies under
// its device; it doesn't descend into a match. A walk without a match fails: the kernel's walkers return -EINVAL
// since 5cd401ace914, and returned -1 before. Kernel counterpart: the walk functions of kernel/resource.c.
import { KernelError, PAGE_SIZE, type Pfn, pfn, pfnToPhys, type PhysAddr, physAddr } from "@hetmem/kernel";
import {
  IORES_DESC_NONE,
  type IoresDesc,
  IORESOURCE_BUSY,
  IORESOURCE_MEM,
  IORESOURCE_SYSTEM_RAM,
} from "./flags.ts";
import { firstChildFrom, hex, type Resource } from "./resource.ts";

/** A matching resource, and the part of it inside the searched range. */
export interface ResourceMatch {
  readonly start: PhysAddr;
  /** Last byte. */
  readonly end: PhysAddr;
  readonly resource: Resource;
}

/** Called with each match of a walk. A return value other than undefined ends the walk and is its result. */
export type WalkVisitor<T> = (match: ResourceMatch) => T | undefined;

/**
 * The lowest resource of a kind that covers part of start..end.
 *
 * @param start first byte
 * @param end last byte
 * @param flags flags that the resource must have all of
 * @param desc descriptor that the resource must have, or IORES_DESC_NONE for any
 * @returns undefined when no resource matches
 * @throws KernelError EINVAL when end is not above start
 * @see find_next_iomem_res() in kernel/resource.c
 */
export function findNextIomemRes(
  iomem: Resource,
  start: number,
  end: number,
  flags: number,
  desc: IoresDesc = IORES_DESC_NONE,
): ResourceMatch | undefined {
  if (start >= end)
    throw new KernelError(
      "EINVAL",
      `a search from 0x${hex(start, 8)} to 0x${hex(end, 8)} is empty: the end must be above the start`,
    );
  const resource = lowestMatch(iomem, start, end, flags, desc);
  if (!resource) return undefined;
  return {
    start: physAddr(Math.max(start, resource.start)),
    end: physAddr(Math.min(end, resource.end)),
    resource,
  };
}

/** Every resource of a kind that covers part of start..end, lowest first. No match is no error here. */
export function* iomemMatches(
  iomem: Resource,
  start: number,
  end: number,
  flags: number,
  desc: IoresDesc = IORES_DESC_NONE,
): Generator<ResourceMatch, void, void> {
  for (let from = start; from < end;) {
    const match = findNextIomemRes(iomem, from, end, flags, desc);
    if (!match) return;
    yield match;
    from = match.end + 1;
  }
}

/**
 * Calls a visitor with each range of a kind.
 *
 * @param start first byte
 * @param end last byte
 * @returns the visitor's result that ended the walk, or undefined
 * @throws KernelError EINVAL when no resource matched
 * @see walk_iomem_res_desc() in kernel/resource.c
 */
export function walkIomemResDesc<T>(
  iomem: Resource,
  desc: IoresDesc,
  flags: number,
  start: number,
  end: number,
  visit: WalkVisitor<T>,
): T | undefined {
  let found = false;
  for (const match of iomemMatches(iomem, start, end, flags, desc)) {
    found = true;
    const result = visit(match);
    if (result !== undefined) return result;
  }
  if (!found) throw nothingMatched("resource of that kind", start, end);
  return undefined;
}

/**
 * Calls a visitor with each range of busy System RAM, in bytes.
 *
 * @throws KernelError EINVAL when there is none
 * @see walk_system_ram_res()
 */
export function walkSystemRamRes<T>(
  iomem: Resource,
  start: number,
  end: number,
  visit: WalkVisitor<T>,
): T | undefined {
  return walkIomemResDesc(iomem, IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, start, end, visit);
}

/**
 * Calls a visitor with each range of busy memory of any kind.
 *
 * @throws KernelError EINVAL when there is none
 * @see walk_mem_res()
 */
export function walkMemRes<T>(
  iomem: Resource,
  start: number,
  end: number,
  visit: WalkVisitor<T>,
): T | undefined {
  return walkIomemResDesc(iomem, IORES_DESC_NONE, IORESOURCE_MEM | IORESOURCE_BUSY, start, end, visit);
}

/**
 * Calls a visitor with the whole pages of each range of busy System RAM. Ranges without a whole page are skipped.
 *
 * As in the kernel, a range without a whole page ends the walk when no page was found before it.
 *
 * @returns the visitor's result that ended the walk, or undefined
 * @throws KernelError EINVAL when no page of System RAM was found
 * @see walk_system_ram_range() in kernel/resource.c
 */
export function walkSystemRamRange<T>(
  iomem: Resource,
  startPfn: Pfn,
  nrPages: number,
  visit: (startPfn: Pfn, nrPages: number) => T | undefined,
): T | undefined {
  const start = pfnToPhys(startPfn);
  const end = start + nrPages * PAGE_SIZE - 1;
  let found = false;
  for (const match of iomemMatches(iomem, start, end, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY)) {
    const first = Math.ceil(match.start / PAGE_SIZE);
    const pastLast = Math.floor((match.end + 1) / PAGE_SIZE);
    if (pastLast > first) {
      found = true;
      const result = visit(pfn(first), pastLast - first);
      if (result !== undefined) return result;
    } else if (!found) break;
  }
  if (!found) throw nothingMatched("page of System RAM", start, end);
  return undefined;
}

/** Whether a frame is System RAM. @see page_is_ram() in kernel/resource.c */
export function pageIsRam(iomem: Resource, frame: Pfn): boolean {
  const start = pfnToPhys(frame);
  const match = findNextIomemRes(
    iomem,
    start,
    start + PAGE_SIZE - 1,
    IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY,
  );
  return match !== undefined && match.start === start && match.end === start + PAGE_SIZE - 1;
}

/** The match with the lowest address below a resource; a match hides its descendants. */
function lowestMatch(
  above: Resource,
  start: number,
  end: number,
  flags: number,
  desc: IoresDesc,
): Resource | undefined {
  const { children } = above;
  for (let at = firstChildFrom(above, start); at < children.length; at++) {
    const child = children[at];
    if (!child || child.start > end) return undefined;
    if (child.matches(flags, desc)) return child;
    const inside = lowestMatch(child, start, end, flags, desc);
    if (inside) return inside;
  }
  return undefined;
}

function nothingMatched(what: string, start: number, end: number): KernelError {
  return new KernelError("EINVAL", `no ${what} lies in 0x${hex(start, 8)}-0x${hex(Math.max(start, end), 8)}`);
}
