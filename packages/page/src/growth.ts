// Arrays that grow with what a machine touches. What is there is copied to a larger array: a resizable ArrayBuffer would cost
// each access three times as much. Kernel counterpart: none, the kernel maps its vmemmap piece by piece.
import { alignUp, KernelError } from "@hetmem/kernel";
import { type ArrayKind, hostArray } from "./host-array.ts";
import { MAX_PAGES, PAGES_PER_SECTION } from "./layout.ts";

type Growing = Float64Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array;

/** Room comes in free blocks of the largest order: the buddy of each block is in the array, too. */
const ROOM_STEP = 1024;
/** Up to here room follows the need. */
const SMALL_ROOM: number = 2 * PAGES_PER_SECTION;
/** From the small room it goes to this, and from there to all that there can be. */
const MEDIUM_ROOM: number = 16 * PAGES_PER_SECTION;

/** @throws KernelError ENOMEM when more pages are asked for than one memmap can hold */
export function expectFits(pages: number): void {
  if (pages <= MAX_PAGES) return;
  throw new KernelError(
    "ENOMEM",
    `${pages} pages don't fit in one memmap: it holds ${MAX_PAGES}, just under 2 TiB`,
  );
}

/**
 * How many pages to make room for, so that few growths lead to any size.
 *
 * @param needed pages that must fit
 * @param most pages that there can ever be
 */
export function roomFor(needed: number, most: number): number {
  const room = alignUp(needed, ROOM_STEP);
  if (room <= SMALL_ROOM) return Math.min(2 ** Math.ceil(Math.log2(room)), most);
  return room <= MEDIUM_ROOM ? Math.min(MEDIUM_ROOM, most) : most;
}

/** The array itself when it is long enough; else one at least twice as long with what is in it, and zeros behind. @param use see hostArray() */
export function grown<T extends Growing>(array: T, length: number, use: string): T {
  return length <= array.length ? array : resized(array, Math.max(length, array.length * 2), use);
}

/** A longer array with what is in this one, and zeros behind. @param use see hostArray() */
export function resized<T extends Growing>(array: T, length: number, use: string): T {
  const longer = hostArray(array.constructor as ArrayKind<T>, length, use);
  longer.set(array as Growing);
  return longer;
}
