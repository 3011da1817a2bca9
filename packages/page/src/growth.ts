// Arrays that grow with the memory that a machine touches. Contents are copied to a larger array: accesses to a
// resizable ArrayBuffer take three times as long. Kernel counterpart: none, the kernel maps its vmemmap piece by
// piece.
import { alignUp, KernelError } from "@hetmem/kernel";
import { type ArrayKind, hostArray } from "./host-array.ts";
import { MAX_PAGES, PAGES_PER_SECTION } from "./layout.ts";

type Growing = Float64Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array;

/** Granularity in pages: a free block of the largest order, so that the buddy of each block is in the array too. */
const ROOM_STEP = 1024;
/** Number of pages up to which room is allocated in powers of two. */
const SMALL_ROOM: number = 2 * PAGES_PER_SECTION;
/** The next size in pages after the small ones; beyond it, room is allocated for the maximum. */
const MEDIUM_ROOM: number = 16 * PAGES_PER_SECTION;

/** @throws KernelError ENOMEM for more pages than one memmap can hold */
export function expectFits(pages: number): void {
  if (pages <= MAX_PAGES) return;
  throw new KernelError(
    "ENOMEM",
    `${pages} pages don't fit in one memmap: it holds ${MAX_PAGES}, just under 2 TiB`,
  );
}

/**
 * The number of pages to make room for, chosen so that few growths reach any size.
 *
 * @param needed number of pages that must fit
 * @param most maximum number of pages
 */
export function roomFor(needed: number, most: number): number {
  const room = alignUp(needed, ROOM_STEP);
  if (room <= SMALL_ROOM) return Math.min(2 ** Math.ceil(Math.log2(room)), most);
  return room <= MEDIUM_ROOM ? Math.min(MEDIUM_ROOM, most) : most;
}

/** The array itself if long enough; else a zero-filled copy of at least twice its length. @param use see hostArray() */
export function grown<T extends Growing>(array: T, length: number, use: string): T {
  return length <= array.length ? array : resized(array, Math.max(length, array.length * 2), use);
}

/** A longer, zero-filled copy of an array. @param use see hostArray() */
export function resized<T extends Growing>(array: T, length: number, use: string): T {
  const longer = hostArray(array.constructor as ArrayKind<T>, length, use);
  longer.set(array as Growing);
  return longer;
}
