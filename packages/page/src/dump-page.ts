// Descriptions of pages for error messages and the kernel log. Kernel counterpart: mm/debug.c (dump_page).
import type { KernelLog, Page, Pfn } from "@hetmem/kernel";
import { PAGE_WORDS, PageFlag, STRUCT_PAGE_BYTES } from "./layout.ts";
import type { MemMap } from "./memmap.ts";

/** `page 0x100040 (refcount 3, mapcount 2; lru|dirty)`: frame, counts and flags. */
export function describePage(memmap: MemMap, page: Page): string {
  const frame = `page 0x${memmap.pageToPfn(page).toString(16)}`;
  if (!memmap.initialised(page)) return `${frame} (struct page not initialised)`;
  const names = Object.entries(PageFlag).filter(([, bit]) => memmap.test(page, bit));
  const state = names.length > 0 ? `; ${names.map(([name]) => name).join("|")}` : "";
  return `${frame} (refcount ${memmap.refcount(page)}, mapcount ${memmap.mapcount(page)}${state})`;
}

/**
 * Flags that the kernel prints by name, in its order. The kernel stores the other flags elsewhere in struct page.
 *
 * @see __def_pageflag_names in include/trace/events/mmflags.h
 */
const PRINTED_FLAGS = [
  "locked",
  "referenced",
  "uptodate",
  "dirty",
  "lru",
  "active",
  "workingset",
  "slab",
  "reserved",
  "private",
  "writeback",
  "head",
  "reclaim",
  "swapbacked",
  "unevictable",
  "mlocked",
  "hwpoison",
  "young",
  "idle",
] as const satisfies readonly (keyof typeof PageFlag)[];
/** Start of the vmemmap in the kernel's address space, with four and with five page table levels. */
const VMEMMAP_START_L4 = 0xffff_ea00_0000_0000n;
const VMEMMAP_START_L5 = 0xffd4_0000_0000_0000n;
/** Frames past 64 TiB exist with five levels of page tables only. */
const L4_FRAMES = 2 ** 34;
/** The last cpu and pid aren't tracked; this is the text for none. */
const LAST_CPUPID = "lastcpupid=0x7ff";

/**
 * The flags of a page in the format of the kernel log: `0x4000001c(uptodate|lru|node=0|zone=2|…)`.
 *
 * @see %pGp in Documentation/core-api/printk-formats.rst
 */
export function formatPageFlags(memmap: MemMap, page: Page): string {
  const flags = memmap.flags(page);
  const names = PRINTED_FLAGS.filter((name) => (flags & PageFlag[name]) !== 0);
  const place = [`node=${memmap.nodeOf(page)}`, `zone=${memmap.zoneOf(page)}`, LAST_CPUPID];
  return `0x${(flags >>> 0).toString(16)}(${[...names, ...place].join("|")})`;
}

/**
 * Prints a page to the kernel log: address of its struct page, counts, flags, and the eight words. For an
 * uninitialised struct page only the address.
 *
 * @param reason reason in the last line: "unmovable page"
 * @see dump_page()
 */
export function dumpPage(log: KernelLog, memmap: MemMap, page: Page, reason: string): void {
  const frame = memmap.pageToPfn(page);
  if (memmap.initialised(page)) dumpInitialised(log, memmap, page, frame);
  else log.printk(4, `page:${structPage(frame)} is uninitialized and poisoned`);
  log.printk(4, `page dumped because: ${reason}`);
}

/** @see __dump_page() */
function dumpInitialised(log: KernelLog, memmap: MemMap, page: Page, frame: Pfn): void {
  log.printk(
    4,
    `page:${structPage(frame)} refcount:${memmap.refcount(page)} mapcount:${memmap.mapcount(page)} ` +
      `mapping:${word(memmap.mapping(page) >>> 0, 16)} index:0x${(memmap.index(page) >>> 0).toString(16)} pfn:0x${frame.toString(16)}`,
  );
  log.printk(4, `flags: ${formatPageFlags(memmap, page)}`);
  const words = memmap.copyOf(page).map((value) => word(value >>> 0, 16));
  for (let i = 0; i < PAGE_WORDS; i += 4) log.printk(4, `raw: ${words.slice(i, i + 4).join(" ")}`);
}

/** The kernel's address of the struct page of a frame. */
function structPage(frame: Pfn): string {
  const start = frame < L4_FRAMES ? VMEMMAP_START_L4 : VMEMMAP_START_L5;
  return (start + BigInt(frame * STRUCT_PAGE_BYTES)).toString(16);
}

function word(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
