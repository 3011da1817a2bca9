// The life of a ZONE_DEVICE page: initialisation of its struct page, handing out by a driver, and freeing at the last
// put. Kernel counterparts: memmap_init_zone_device() in mm/mm_init.c, zone_device_page_init() and
// free_zone_device_page() in mm/memremap.c.
import {
  condResched,
  KernelBug,
  KernelError,
  type Page,
  PAGE_SIZE,
  type Pfn,
  physAddr,
  physToPfn,
  type Sleeps,
} from "@hetmem/kernel";
import {
  describePage,
  type DevicePages,
  type MemMap,
  PageFlag,
  PAGES_PER_SECTION,
  SectionFlag,
  sectionOfPfn,
} from "@hetmem/page";
import { sectionFrames, sectionPieces, ZoneType } from "@hetmem/zone";
import type { DevPagemap } from "./dev-pagemap.ts";
import { MEMORY_TYPES, MemoryType } from "./memory-type.ts";
import type { Pagemaps } from "./pagemaps.ts";
import type { ByteRange } from "./policies.ts";

/** Number of pages initialised between two yields. */
const INIT_BATCH = 1024;

/** Tracepoint record, emitted for each initialised section. */
export interface MemmapInitZoneDevice {
  readonly name: string;
  /** Pages of the range initialised so far, and in total. */
  readonly done: number;
  readonly total: number;
}

/**
 * Initialises the struct pages of a newly added range. Pages that the device hands out refer to their pagemap. Pages
 * of the altmap, of the driver's reserve and of the rest of the sections are only marked reserved.
 *
 * @see memmap_init_zone_device() in mm/mm_init.c
 * @see 966cf44f637e: runs without the hotplug locks, for which other tasks wait
 */
export function* memmapInitZoneDevice(
  pagemaps: Pagemaps,
  pagemap: DevPagemap,
  range: number,
  aligned: ByteRange,
): Sleeps<void> {
  const start = physToPfn(physAddr(aligned.start));
  const end = (start + aligned.size / PAGE_SIZE) as Pfn;
  const [first, last] = [pagemap.firstPfn(range), pagemap.endPfn(range)];
  yield* initReserved(pagemaps, start, first);
  yield* initDevicePages(pagemaps, pagemap, first, last);
  yield* initReserved(pagemaps, last, end);
}

/**
 * Hands out an idle page, with one user and locked.
 *
 * @throws KernelBug when the pagemap is being torn down, or the page is in use
 * @see zone_device_page_init(): the kernel warns
 */
export function zoneDevicePageInit(pagemaps: Pagemaps, page: Page): void {
  const { memmap } = pagemaps;
  const pagemap = expectPagemap(pagemaps, page);
  if (memmap.refcount(page) !== pagemap.idleCount)
    throw new KernelBug(`${pagemap.name} hands out a page in use: ${describePage(memmap, page)}`);
  if (!pagemap.ref.trygetLive())
    throw new KernelBug(
      `${pagemap.name} hands out a page while it is being torn down: ${describePage(memmap, page)}`,
    );
  // With idleAtOne the pagemap already holds a reference for the page since it was mapped.
  if (pagemap.idleCount === 1) pagemap.ref.put();
  memmap.setRefcount(page, pagemap.idleCount + 1);
  memmap.set(page, PageFlag.locked);
}

/**
 * Called by putPage() when a ZONE_DEVICE page may have become idle. Calls the driver's pageFree once. Drops the
 * page's reference on the pagemap with idleAtZero, or when unmapping waits for the page.
 *
 * @throws KernelBug for a put too many, and for a page without a pagemap
 * @see free_zone_device_page()
 * @see 71389703839e: one pagemap reference per page in use, instead of one per gup reference
 */
export function freeZoneDevicePage(pagemaps: Pagemaps, page: Page): void {
  const { memmap } = pagemaps;
  const pagemap = expectPagemap(pagemaps, page);
  const references = memmap.refcount(page);
  if (references > pagemap.idleCount) return;
  if (references < pagemap.idleCount)
    throw new KernelBug(`${pagemap.name} loses the reference of an idle page: ${describePage(memmap, page)}`);
  if (MEMORY_TYPES[pagemap.type].allocatedByDriver) {
    pagemaps.uncharge(page);
    memmap.clear(page, PageFlag.active | PageFlag.anonExclusive);
    memmap.setMapping(page, 0);
  }
  pagemap.ops.pageFree?.(page);
  if (pagemap.idleCount === 0 || pagemap.pagesDropped) pagemap.ref.put();
}

/**
 * Has the driver of a device private page migrate it to RAM.
 *
 * @returns vm_fault_t bits
 * @throws KernelBug for a page that isn't private
 * @see do_swap_page() in mm/memory.c
 */
export function* migrateToRam(pagemaps: Pagemaps, fault: object, page: Page): Sleeps<number> {
  const { ops, name } = expectPagemap(pagemaps, page);
  if (!ops.migrateToRam)
    throw new KernelBug(`the cpu can't reach ${name}, whose driver moves nothing to RAM`);
  return yield* ops.migrateToRam(fault, page);
}

/**
 * Reports a bad frame to its driver, and logs the outcome.
 *
 * @param current the process whose access hit the bad memory, undefined without one
 * @returns false for a frame without a pagemap
 * @throws KernelError ENXIO for a frame that the device doesn't hand out, EBUSY when the driver can't find the
 * frame's users, and errors of its memoryFailure()
 * @see memory_failure_dev_pagemap() in mm/memory-failure.c
 * @see 6100e34b2526: before 4.19 drivers weren't called
 */
export function* memoryFailureDevPagemap(
  pagemaps: Pagemaps,
  frame: Pfn,
  current: object | undefined,
): Sleeps<boolean> {
  const { memmap } = pagemaps;
  // The lookup entry exists before the struct pages do.
  if (!memmap.pfnValid(frame) || !memmap.initialised(memmap.pfnToPage(frame))) return false;
  const pagemap = pagemaps.getDevPagemap(frame);
  if (!pagemap) return false;
  let result = "Failed";
  try {
    yield* tellDriver(pagemap, frame, current);
    result = "Recovered";
    return true;
  } finally {
    pagemaps.putDevPagemap(pagemap);
    pagemaps.memory.kernel.log.printk(
      3,
      `Memory failure: 0x${frame.toString(16)}: recovery action for dax page: ${result}`,
    );
  }
}

/** @see is_zone_device_page() in include/linux/mmzone.h */
export function isZoneDevicePage({ memmap }: Pagemaps, page: Page): boolean {
  return memmap.zoneOf(page) === ZoneType.Device;
}

/** @see is_device_private_page() in include/linux/memremap.h */
export function isDevicePrivatePage(pagemaps: Pagemaps, page: Page): boolean {
  return pagemaps.pagemapOf(page)?.type === MemoryType.DevicePrivate;
}

/** @see is_device_public_page() in include/linux/mm.h of 4.14 */
export function isDevicePublicPage(pagemaps: Pagemaps, page: Page): boolean {
  return pagemaps.pagemapOf(page)?.type === MemoryType.DevicePublic;
}

/** @see is_device_coherent_page() */
export function isDeviceCoherentPage(pagemaps: Pagemaps, page: Page): boolean {
  return pagemaps.pagemapOf(page)?.type === MemoryType.DeviceCoherent;
}

/** Whether the page belongs to fsdax memory. @see vma_is_fsdax() in include/linux/fs.h */
export function isFsdaxPage(pagemaps: Pagemaps, page: Page): boolean {
  return pagemaps.pagemapOf(page)?.type === MemoryType.DeviceFsDax;
}

/** @see is_pci_p2pdma_page() */
export function isPciP2pdmaPage(pagemaps: Pagemaps, page: Page): boolean {
  return pagemaps.pagemapOf(page)?.type === MemoryType.DevicePciP2pdma;
}

function* tellDriver(pagemap: DevPagemap, frame: Pfn, current: object | undefined): Sleeps<void> {
  const { name, ops } = pagemap;
  if (!pagemap.pfnValid(frame))
    throw new KernelError("ENXIO", `${name} keeps frame 0x${frame.toString(16)} for itself`);
  const nobody = `frame 0x${frame.toString(16)} is bad, and ${name} can't tell who uses it`;
  if (!ops.memoryFailure) throw new KernelError("EBUSY", nobody);
  try {
    yield* ops.memoryFailure(pagemap, frame, 1, current);
  } catch (error) {
    // Only a file system could find the users of the page, and no driver here has one.
    if (error instanceof KernelError && error.errno === "EOPNOTSUPP") throw new KernelError("EBUSY", nobody);
    throw error;
  }
}

function expectPagemap(pagemaps: Pagemaps, page: Page): DevPagemap {
  const pagemap = pagemaps.pagemapOf(page);
  if (!pagemap) throw new KernelBug(`${describePage(pagemaps.memmap, page)} is no device's`);
  return pagemap;
}

function* initDevicePages(pagemaps: Pagemaps, pagemap: DevPagemap, start: Pfn, end: Pfn): Sleeps<void> {
  const { memmap, initialising } = pagemaps;
  const { name, id, idleCount } = pagemap;
  const init: DevicePages = { zone: ZoneType.Device, pagemap: id, references: idleCount };
  const total = end - start;
  let done = 0;
  for (const [first, pages] of sectionFrames(start, total)) {
    yield* initSection(memmap, first, pages, init);
    done += pages;
    if (initialising.enabled) initialising.emit({ name, done, total });
  }
}

/** Whole sections are initialised on first access, see deferSection(); parts of sections at once. */
function* initSection(memmap: MemMap, start: Pfn, pages: number, init: DevicePages): Sleeps<void> {
  if (pages === PAGES_PER_SECTION) {
    memmap.deferSection(sectionOfPfn(start), init);
    yield condResched;
    return;
  }
  const first = memmap.pfnToPage(start);
  for (let i = 0; i < pages; i += INIT_BATCH) {
    memmap.initDeviceRange((first + i) as Page, Math.min(INIT_BATCH, pages - i), init);
    yield condResched;
  }
  markInitialised(memmap, first);
}

function* initReserved(pagemaps: Pagemaps, start: Pfn, end: Pfn): Sleeps<void> {
  const { memory, memmap } = pagemaps;
  for (const [first, pages] of sectionPieces(memory, start, end - start)) {
    for (let i = 0; i < pages; i += INIT_BATCH) {
      memmap.initRange(
        (first + i) as Page,
        Math.min(INIT_BATCH, pages - i),
        ZoneType.Device,
        PageFlag.reserved,
        1,
      );
      yield condResched;
    }
    markInitialised(memmap, first);
  }
}

function markInitialised(memmap: MemMap, page: Page): void {
  memmap.sections.set(sectionOfPfn(memmap.pageToPfn(page)), SectionFlag.initialised);
}
