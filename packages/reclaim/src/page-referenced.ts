// Accessed bits: whether processes and devices have accessed a page since the last check, on which reclaim decides. The
// check clears the bits.
// Kernel counterpart: folio_referenced() in mm/rmap.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { trylockPage, unlockPage, type Vm, type Vma, VmFlag } from "@hetmem/mm";
import {
  hugeEntry,
  inMapping,
  MAPPING_ANON,
  pageMapped,
  presentEntry,
  tryRmapWalk,
  unitPages,
} from "@hetmem/mm/rmap";
import { mlockVmaHuge, mlockVmaPage } from "@hetmem/mm/vma";
import { mmuNotifierClearFlushYoung } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { NO_ENTRY, Pte } from "@hetmem/page-table";

export interface PageReferences {
  /** Mappings through which the page was accessed since the last check; -1 if the rmap lock was contended. */
  readonly referenced: number;
  /** VmFlag bits of those mappings; LOCKED if a mapping of the page is mlocked. */
  readonly vmFlags: number;
}

const UNREFERENCED: PageReferences = Object.freeze({ referenced: 0, vmFlags: 0 });
const CONTENDED: PageReferences = Object.freeze({ referenced: -1, vmFlags: 0 });

/**
 * Counts the mappings through which a page or compound page was accessed, and clears their accessed bits. Never waits
 * for a lock. The caller holds a reference. A page of a file is locked meanwhile, if its lock is free.
 *
 * @see folio_referenced()
 */
export function* pageReferenced(vm: Vm, page: Page): Sleeps<PageReferences> {
  const { memmap } = vm;
  const head = memmap.compoundHead(page);
  if (memmap.mapping(head) === 0 || !pageMapped(vm, head)) return UNREFERENCED;
  const locked = (memmap.mapping(head) & MAPPING_ANON) === 0 && trylockPage(memmap, head);
  let referenced = 0;
  let vmFlags = 0;
  const walked = yield* tryRmapWalk(vm, head, function* (vma, address) {
    if (lockedInMemory(vma, address, head)) {
      vmFlags |= VmFlag.LOCKED;
      return false;
    }
    if (!referencedOne(vma, address, head)) return true;
    referenced++;
    vmFlags |= vma.flags & ~VmFlag.LOCKED;
    return true;
  });
  if (locked) unlockPage(memmap, head);
  return walked ? { referenced, vmFlags } : CONTENDED;
}

/** Whether a mapping keeps a page in memory (mlock). A compound page counts only if the mapping maps it as a whole. */
function lockedInMemory(vma: Vma, address: VirtAddr, head: Page): boolean {
  const { pageTable, vm } = vma.mm;
  if ((vma.flags & VmFlag.LOCKED) === 0) return false;
  const small = unitPages(vm, head) === 1;
  const entry = small ? presentEntry(pageTable, address, head) : hugeEntry(pageTable, address, head);
  if (entry === NO_ENTRY) return false;
  // The page isn't marked yet: otherwise it would not be on an evictable list.
  if (small) mlockVmaPage(head, vma);
  else mlockVmaHuge(head, vma);
  return true;
}

/** Whether a page was accessed through one mapping. @see folio_referenced_one() */
function referencedOne(vma: Vma, address: VirtAddr, head: Page): boolean {
  const { memmap } = vma.mm.vm;
  const used = accessedThrough(vma, address, head);
  if (used) memmap.clear(head, PageFlag.idle);
  // Idle page tracking has cleared the accessed bits, and recorded the access in the young flag.
  const young = memmap.test(head, PageFlag.young);
  if (young) memmap.clear(head, PageFlag.young);
  return used || young;
}

/** Whether the entries of one mapping have accessed bits; clears them. */
function accessedThrough(vma: Vma, address: VirtAddr, head: Page): boolean {
  const { pageTable, vm } = vma.mm;
  const pages = unitPages(vm, head);
  const whole = pages === 1 ? NO_ENTRY : hugeEntry(pageTable, address, head);
  if (whole !== NO_ENTRY) return clearYoung(vma, address, pages, whole);
  let used = false;
  for (let i = 0; i < pages; i++) {
    const at = (address + i * 4096) as VirtAddr;
    const entry = inMapping(vma, at) ? presentEntry(pageTable, at, (head + i) as Page) : NO_ENTRY;
    // Sequential reads of a mapping with MADV_SEQUENTIAL don't count as accesses.
    if (entry !== NO_ENTRY && clearYoung(vma, at, 1, entry) && (vma.flags & VmFlag.SEQ_READ) === 0)
      used = true;
  }
  return used;
}

/**
 * Clears the accessed bit of an entry, and those of devices.
 *
 * @returns whether any was set
 * @see ptep_clear_flush_young_notify()
 */
function clearYoung({ mm }: Vma, address: VirtAddr, pages: number, entry: number): boolean {
  const { pageTable } = mm;
  const flags = pageTable.flags(entry);
  if ((flags & Pte.accessed) !== 0) pageTable.setFlags(entry, flags & ~Pte.accessed);
  const elsewhere = mmuNotifierClearFlushYoung(mm, address, (address + pages * 4096) as VirtAddr);
  return (flags & Pte.accessed) !== 0 || elsewhere;
}
