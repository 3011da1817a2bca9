// Who has used a page since somebody last looked: what reclaim decides by. Looking makes it forgotten. Kernel
// counterpart: folio_referenced() in mm/rmap.c.
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
  /** Mappings that have used the page since the last look; -1 when the rmap lock was contended. */
  readonly referenced: number;
  /** VmFlag bits of those mappings; LOCKED alone says that one of the page's mappings is locked in memory. */
  readonly vmFlags: number;
}

const UNUSED: PageReferences = Object.freeze({ referenced: 0, vmFlags: 0 });
const CONTENDED: PageReferences = Object.freeze({ referenced: -1, vmFlags: 0 });

/**
 * Counts the mappings that have used a page or compound page, and forgets it. Never waits for a lock. The caller holds a
 * reference; a page of a file that nobody has locked is locked meanwhile.
 *
 * @see folio_referenced()
 */
export function* pageReferenced(vm: Vm, page: Page): Sleeps<PageReferences> {
  const { memmap } = vm;
  const head = memmap.compoundHead(page);
  if (memmap.mapping(head) === 0 || !pageMapped(vm, head)) return UNUSED;
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

/** Whether a page is held in memory by this mapping. A compound page is only where it is mapped whole. */
function lockedInMemory(vma: Vma, address: VirtAddr, head: Page): boolean {
  const { pageTable, vm } = vma.mm;
  if ((vma.flags & VmFlag.LOCKED) === 0) return false;
  const small = unitPages(vm, head) === 1;
  const entry = small ? presentEntry(pageTable, address, head) : hugeEntry(pageTable, address, head);
  if (entry === NO_ENTRY) return false;
  // It was missed when the mapping was locked, or it would not have come here.
  if (small) mlockVmaPage(head, vma);
  else mlockVmaHuge(head, vma);
  return true;
}

/** @see folio_referenced_one() */
function referencedOne(vma: Vma, address: VirtAddr, head: Page): boolean {
  const { memmap } = vma.mm.vm;
  const used = usedThrough(vma, address, head);
  if (used) memmap.clear(head, PageFlag.idle);
  // Somebody else has looked at the entries, and has left a note.
  const noted = memmap.test(head, PageFlag.young);
  if (noted) memmap.clear(head, PageFlag.young);
  return used || noted;
}

function usedThrough(vma: Vma, address: VirtAddr, head: Page): boolean {
  const { pageTable, vm } = vma.mm;
  const pages = unitPages(vm, head);
  const whole = pages === 1 ? NO_ENTRY : hugeEntry(pageTable, address, head);
  if (whole !== NO_ENTRY) return clearYoung(vma, address, pages, whole);
  let used = false;
  for (let i = 0; i < pages; i++) {
    const at = (address + i * 4096) as VirtAddr;
    const entry = inMapping(vma, at) ? presentEntry(pageTable, at, (head + i) as Page) : NO_ENTRY;
    // What is read once from front to back isn't used because it was read.
    if (entry !== NO_ENTRY && clearYoung(vma, at, 1, entry) && (vma.flags & VmFlag.SEQ_READ) === 0)
      used = true;
  }
  return used;
}

/** Whether the cpu or a device has used an entry. @see ptep_clear_flush_young_notify() */
function clearYoung({ mm }: Vma, address: VirtAddr, pages: number, entry: number): boolean {
  const { pageTable } = mm;
  const flags = pageTable.flags(entry);
  if ((flags & Pte.accessed) !== 0) pageTable.setFlags(entry, flags & ~Pte.accessed);
  const elsewhere = mmuNotifierClearFlushYoung(mm, address, (address + pages * 4096) as VirtAddr);
  return (flags & Pte.accessed) !== 0 || elsewhere;
}
