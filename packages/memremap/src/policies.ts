// Differences between releases in mapping device memory: the granularity of collisions, the refcount of idle pages,
// and the sharing of struct pages. The profile of a machine chooses one policy of each, and a memory type policy.
import { alignDown, alignUp } from "@hetmem/kernel";
import { SECTION_SIZE } from "@hetmem/page";
import type { SharedTails } from "@hetmem/zone";
import type { DevPagemap } from "./dev-pagemap.ts";
import { MEMORY_TYPES, type MemoryType, type MemoryTypePolicy, publicDeviceMemory } from "./memory-type.ts";

/** A range of bytes. */
export interface ByteRange {
  readonly start: number;
  readonly size: number;
}

/** Policy: the range for which a mapping creates struct pages, and in which no other may lie. */
export interface CollisionPolicy {
  /** Name of the granularity, for messages: "section" or "subsection". */
  readonly unit: string;
  /**
   * Aligns a range, for mapping and unmapping alike.
   *
   * @see "mm: Fix memory size alignment in devm_memremap_pages_release()" (2018)
   */
  align(range: ByteRange): ByteRange;
}

/**
 * Up to 5.2: struct pages are created for whole sections, so a section can't hold two mappings.
 *
 * @see 15d36fecd0bd: one pagemap per section
 * @see 5f29a77cd957: a section with RAM can't hold a mapping either
 */
export const sectionCollision: CollisionPolicy = {
  unit: "section",
  align({ start, size }) {
    const first = alignDown(start, SECTION_SIZE);
    return { start: first, size: alignUp(start + size, SECTION_SIZE) - first };
  },
};

/**
 * Since 5.3: exactly the requested range is mapped, in subsections of 2 MiB.
 *
 * @see "mm/devm_memremap_pages: enable sub-section remap"
 */
export const subsectionCollision: CollisionPolicy = { unit: "subsection", align: (range) => range };

/** Policy: the refcount of an idle page. */
export type IdlePolicy = (type: MemoryType) => 0 | 1;

/** Up to 5.17: idle ZONE_DEVICE pages have a refcount of 1. */
export const idleAtOne: IdlePolicy = () => 1;
/** Since 5.18: idle pages that a driver allocates have a refcount of 0. @see 27674ef6c73f */
export const idleAtZero: IdlePolicy = (type) => (MEMORY_TYPES[type].allocatedByDriver ? 0 : 1);

/**
 * Policy: the sharing of struct pages among the tail pages of compound pages.
 *
 * @returns undefined when every page has a struct page of its own
 */
export type StructPagePolicy = (pagemap: DevPagemap, range: number) => SharedTails | undefined;

/** Up to 5.18: every page has a struct page of its own, as RAM has. */
export const unsharedStructPages: StructPagePolicy = () => undefined;
/** Since 5.19: a compound page of any size uses two pages of struct pages. @see 4917f55b4ef9 */
export const sharedTailStructPages: StructPagePolicy = ({ vmemmapShift, spans }, range) => {
  const span = spans[range];
  return span && vmemmapShift > 0 ? { first: span.start, pages: 2 ** vmemmapShift } : undefined;
};

/** The policies of a release. */
export interface PagemapPolicies {
  readonly memoryTypes: MemoryTypePolicy;
  readonly collision: CollisionPolicy;
  readonly idle: IdlePolicy;
  readonly structPages: StructPagePolicy;
}

/** v5.1's. */
export const defaultPagemapPolicies: PagemapPolicies = {
  memoryTypes: publicDeviceMemory,
  collision: sectionCollision,
  idle: idleAtOne,
  structPages: unsharedStructPages,
};
