// References and pins of a page. A user of the struct page takes a reference. A user of the contents takes a pin,
// which fork, migration and writeback check. A small page counts a pin as 1024 references. A compound page counts
// pins exactly, in the `mapping` word of its first tail page. Kernel counterparts: try_grab_folio(), gup_put_folio()
// in mm/gup.c; page_maybe_dma_pinned() in include/linux/mm.h.
import { KernelBug, type Page } from "@hetmem/kernel";
import { describePage, type MemMap, PageFlag } from "@hetmem/page";
import { NodeStat, ZoneType } from "@hetmem/zone";
import { addNodeStat } from "../node-stat.ts";
import type { Vm } from "../vm.ts";
import { Foll } from "./foll.ts";

/** References per pin of a small page. @see GUP_PIN_COUNTING_BIAS */
export const GUP_PIN_COUNTING_BIAS = 1024;

const ACQUIRED: number = NodeStat.nr_foll_pin_acquired;
const RELEASED: number = NodeStat.nr_foll_pin_released;

/**
 * Whether a page may be pinned. A small page with 1024 or more references counts as pinned even if none of them is a
 * pin.
 *
 * @see page_maybe_dma_pinned()
 */
export function pageMaybeDmaPinned({ memmap }: Vm, page: Page): boolean {
  const head = memmap.compoundHead(page);
  if (memmap.test(head, PageFlag.head)) return compoundPincount(memmap, head) > 0;
  // Unsigned, so that an overflowed count is a large one.
  return memmap.refcount(head) >>> 0 >= GUP_PIN_COUNTING_BIAS;
}

/** Number of pins of a compound page. @see compound_pincount */
export function compoundPincount(memmap: MemMap, head: Page): number {
  return memmap.mapping((head + 1) as Page);
}

/**
 * Takes references or pins on a page that may be freed at any moment.
 *
 * @param page references on a tail page are taken on its head
 * @param refs number of references or pins
 * @param foll Foll.GET or Foll.PIN, optionally with Foll.LONGTERM
 * @returns false when the page is free, its refcount would overflow, or it is not longterm-pinnable
 * @see try_grab_folio()
 */
export function tryGrabPage(vm: Vm, page: Page, refs: number, foll: number): boolean {
  if (!tryGrabUncounted(vm, page, refs, foll)) return false;
  if ((foll & Foll.PIN) !== 0 && page !== vm.zeroPage) addNodeStat(vm, page, ACQUIRED, refs);
  return true;
}

/**
 * tryGrabPage() without the count in nr_foll_pin_acquired. The caller counts many pins at once with countPins().
 *
 * @param refs number of references or pins
 * @param foll Foll bits
 * @returns false in the same cases as tryGrabPage()
 */
export function tryGrabUncounted(vm: Vm, page: Page, refs: number, foll: number): boolean {
  if ((foll & Foll.PIN) !== 0) return tryPin(vm, page, refs, foll);
  const { memmap } = vm;
  const head = memmap.compoundHead(page);
  const count = memmap.refcount(head);
  if (count <= 0) return false;
  memmap.setRefcount(head, count + refs);
  return true;
}

/** Counts the pins of pages[from, to) in nr_foll_pin_acquired, in runs of the same node. */
export function countPins(vm: Vm, pages: Int32Array, from: number, to: number): void {
  const { memmap, zeroPage } = vm;
  for (let i = from; i < to;) {
    const first = pages[i] as Page;
    const node = memmap.nodeOf(first);
    let pins = 0;
    for (; i < to && memmap.nodeOf(pages[i] as Page) === node; i++) if (pages[i] !== zeroPage) pins++;
    addNodeStat(vm, first, ACQUIRED, pins);
  }
}

function tryPin(vm: Vm, page: Page, refs: number, foll: number): boolean {
  const { memmap } = vm;
  // The zero page never moves and is shared by all processes, so it isn't pinned.
  if (page === vm.zeroPage) return true;
  if ((foll & Foll.LONGTERM) !== 0 && !isLongtermPinnable(vm, page)) return false;
  const compound = memmap.test(page, PageFlag.head | PageFlag.tail);
  const head = compound ? memmap.compoundHead(page) : page;
  const count = memmap.refcount(head);
  const more = (count + (compound ? refs : refs * GUP_PIN_COUNTING_BIAS)) | 0;
  if (count <= 0 || more < 0) return false;
  memmap.setRefcount(head, more);
  if (compound) memmap.setMapping((head + 1) as Page, compoundPincount(memmap, head) + refs);
  return true;
}

/**
 * Drops what tryGrabPage() took.
 *
 * @param refs number of references or pins
 * @param foll the Foll bits that tryGrabPage() was called with
 * @throws KernelBug when the page has fewer references or pins
 * @see gup_put_folio()
 */
export function putGrabbedPage(vm: Vm, page: Page, refs: number, foll: number): void {
  const { memmap } = vm;
  if ((foll & Foll.PIN) === 0) {
    dropReferences(memmap, memmap.compoundHead(page), refs);
    return;
  }
  if (page === vm.zeroPage) return;
  const head = memmap.compoundHead(page);
  addNodeStat(vm, head, RELEASED, refs);
  if (memmap.test(head, PageFlag.head)) {
    const pins = compoundPincount(memmap, head) - refs;
    if (pins < 0) throw new KernelBug(`unpinned once too often: ${describePage(memmap, head)}`);
    memmap.setMapping((head + 1) as Page, pins);
    dropReferences(memmap, head, refs);
  } else {
    dropReferences(memmap, head, refs * GUP_PIN_COUNTING_BIAS);
  }
}

/** Whether a page may be pinned for an unlimited time. @see is_longterm_pinnable_page() */
export function isLongtermPinnable(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  if (page === vm.zeroPage) return true;
  const zone = memmap.zoneOf(page);
  if (zone === ZoneType.Device) return !vm.devices.isCoherent(page);
  return zone !== ZoneType.Movable;
}

/** Drops references. @throws KernelBug when the page has fewer */
function dropReferences(memmap: MemMap, head: Page, refs: number): void {
  const count = memmap.refcount(head);
  if (count < refs) throw new KernelBug(`${refs} references dropped: ${describePage(memmap, head)}`);
  if (refs > 1) memmap.setRefcount(head, count - refs + 1);
  memmap.putPage(head);
}
