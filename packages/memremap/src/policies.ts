// What changed between releases in how device memory is mapped: which mappings collide, how many references an idle page
// has, and which struct pages are shared. A profile of a machine chooses one of each, and a memory type policy.
import { alignDown, alignUp } from "@hetmem/kernel";
import { SECTION_SIZE } from "@hetmem/page";
import type { SharedTails } from "@hetmem/zone";
import type { DevPagemap } from "./dev-pagemap.ts";
import { MEMORY_TYPES, type MemoryType, type MemoryTypePolicy, publicDeviceMemory } from "./memory-type.ts";

/** A range of bytes: first and length. */
export interface ByteRange {
  readonly start: number;
  readonly size: number;
}

/** Policy: which struct pages a mapping takes, and so what it collides with. */
export interface CollisionPolicy {
  /** "section" or "subsection", for messages. */
  readonly unit: string;
  /** What a range becomes, when it is mapped and when it is released alike. @see "mm: Fix memory size alignment in devm_memremap_pages_release()" (2018) */
  align(range: ByteRange): ByteRange;
}

/**
 * Up to 5.2: whole sections are mapped, so that nothing else may have struct pages in any of them.
 *
 * @see 15d36fecd0bd: one pagemap a section
 * @see 5f29a77cd957: RAM in a section is in the way too
 */
export const sectionCollision: CollisionPolicy = {
  unit: "section",
  align({ start, size }) {
    const first = alignDown(start, SECTION_SIZE);
    return { start: first, size: alignUp(start + size, SECTION_SIZE) - first };
  },
};

/** Since 5.3: what is mapped is what was asked for, in subsections of 2 MiB. @see "mm/devm_memremap_pages: enable sub-section remap" */
export const subsectionCollision: CollisionPolicy = { unit: "subsection", align: (range) => range };

/** Policy: references of a page that nobody uses. */
export type IdlePolicy = (type: MemoryType) => 0 | 1;

/** Up to 5.17: all pages of ZONE_DEVICE carry a reference that is nobody's. */
export const idleAtOne: IdlePolicy = () => 1;
/** Since 5.18: those that a driver allocates begin at none. @see 27674ef6c73f */
export const idleAtZero: IdlePolicy = (type) => (MEMORY_TYPES[type].allocatedByDriver ? 0 : 1);

/**
 * Policy: which struct pages of a range compound pages share.
 *
 * @returns undefined where every page has a struct page of its own
 */
export type StructPagePolicy = (pagemap: DevPagemap, range: number) => SharedTails | undefined;

/** Up to 5.18: a device's pages cost what RAM costs. */
export const unsharedStructPages: StructPagePolicy = () => undefined;
/** Since 5.19: all tails of a compound page have two pages of struct pages between them, whatever its size. @see 4917f55b4ef9 */
export const sharedTailStructPages: StructPagePolicy = ({ vmemmapShift, spans }, range) => {
  const span = spans[range];
  return span && vmemmapShift > 0 ? { first: span.start, pages: 2 ** vmemmapShift } : undefined;
};

/** What a release decides. */
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
