// A page in words, for error messages and the kernel log. Kernel counterpart: mm/debug.c (dump_page).
import type { KernelLog, Page } from "@hetmem/kernel";
import { PAGE_WORDS, PageFlag } from "./layout.ts";
import type { MemMap } from "./memmap.ts";

/** `page 0x100040 (refcount 3, mapcount 2; lru|dirty)`: names the frame and what keeps it. */
export function describePage(memmap: MemMap, page: Page): string {
  const frame = `page 0x${memmap.pageToPfn(page).toString(16)}`;
  if (!memmap.initialised(page)) return `${frame} (struct page not initialised)`;
  const names = Object.entries(PageFlag).filter(([, bit]) => memmap.test(page, bit));
  const state = names.length > 0 ? `; ${names.map(([name]) => name).join("|")}` : "";
  return `${frame} (refcount ${memmap.refcount(page)}, mapcount ${memmap.mapcount(page)}${state})`;
}

/** Flags that the kernel prints by name, in its order. Others it keeps elsewhere in struct page. @see __def_pageflag_names in include/trace/events/mmflags.h */
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
/** Where struct pages begin in the kernel's address space with four levels of page tables; its last six digits are zero. */
const VMEMMAP_START = "ffffea";
const STRUCT_PAGE_BYTES = 64;
/** Nobody keeps track of the last cpu here. */
const LAST_CPUPID = "lastcpupid=0x7ff";

/**
 * Prints a page to the kernel log: where its struct page is, its counts, its flags, and our eight words of it.
 *
 * @param reason why, as the last line says: "unmovable page"
 * @see __dump_page()
 */
export function dumpPage(log: KernelLog, memmap: MemMap, page: Page, reason: string): void {
  const frame = memmap.pageToPfn(page);
  const pointer = VMEMMAP_START + word(frame * STRUCT_PAGE_BYTES, 10);
  log.printk(
    4,
    `page:${pointer} refcount:${memmap.refcount(page)} mapcount:${memmap.mapcount(page)} ` +
      `mapping:${word(memmap.mapping(page), 16)} index:0x${memmap.index(page).toString(16)} pfn:0x${frame.toString(16)}`,
  );
  const flags = memmap.flags(page);
  const names = PRINTED_FLAGS.filter((name) => (flags & PageFlag[name]) !== 0);
  const place = [`node=${memmap.nodeOf(page)}`, `zone=${memmap.zoneOf(page)}`, LAST_CPUPID];
  log.printk(4, `flags: 0x${(flags >>> 0).toString(16)}(${[...names, ...place].join("|")})`);
  const words = memmap.copyOf(page).map((value) => word(value >>> 0, 16));
  for (let i = 0; i < PAGE_WORDS; i += 4) log.printk(4, `raw: ${words.slice(i, i + 4).join(" ")}`);
  log.printk(4, `page dumped because: ${reason}`);
}

function word(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
