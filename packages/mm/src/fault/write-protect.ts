// Writes to pages that are mapped read-only: a private page is reused when no other process has it, and copied
// otherwise; shared mappings go to shared-write.ts. An unshare request makes a page exclusive in the same way,
// without the write. Kernel counterparts: do_wp_page(), wp_page_copy() in mm/memory.c.
import { type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { entryPage, Pte, specialPfn } from "@hetmem/page-table";
import { trylockPage, unlockPage } from "../page-lock.ts";
import { pageAnon, pageMoveAnonRmap, pageRemoveRmap } from "../rmap/map-counts.ts";
import { rssKind } from "../unmap/zap.ts";
import { munlockVmaPage } from "../vma/mlock-page.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { FaultContext } from "../vma/vma.ts";
import { allocAnonymous, mapNewAnonymous } from "./anon.ts";
import { entrySame } from "./fault-context.ts";
import { wpPageReuse } from "./reuse-page.ts";
import { wpPageShared, wpPfnShared } from "./shared-write.ts";
import { FaultFlag, VmFault } from "./vm-fault.ts";

/** Handles a write to a present read-only entry, or a request to unshare its page. @see do_wp_page() */
export function* doWpPage(fault: FaultContext): Sleeps<VmFault> {
  const { vma, origValue, origFlags, flags } = fault;
  const { vm } = vma.mm;
  const page = (origFlags & (Pte.special | Pte.devmap)) !== 0 ? (NULL_PAGE as Page) : entryPage(origValue);
  if ((vma.flags & VmFlag.SHARED) !== 0 && (flags & FaultFlag.UNSHARE) === 0)
    return page === NULL_PAGE ? yield* wpPfnShared(fault) : yield* wpPageShared(fault, page);
  const anon = page !== NULL_PAGE && pageAnon(vm, page);
  const unshare = (flags & FaultFlag.UNSHARE) !== 0;
  // Only anonymous pages can be exclusive to a process.
  if (unshare && !anon) return 0;
  if (anon && becomeExclusive(fault, page)) {
    if (!unshare) wpPageReuse(fault);
    return 0;
  }
  return yield* wpPageCopy(fault, page);
}

/**
 * Whether the page is exclusive, or can become so. A reference beyond those of the entry and the swap cache may
 * belong to a reader, so the page must be copied.
 *
 * @see 09854ba94c6a
 */
function becomeExclusive({ vma }: FaultContext, page: Page): boolean {
  const { vm } = vma.mm;
  const { memmap } = vm;
  if (memmap.test(page, PageFlag.anonExclusive)) return true;
  const head = memmap.compoundHead(page);
  const cached = memmap.test(head, PageFlag.swapcache) ? 1 : 0;
  if (memmap.refcount(head) > 1 + cached || !trylockPage(memmap, head)) return false;
  if (cached === 1) vm.swap.freeSwap(head);
  const exclusive = memmap.refcount(head) === 1;
  if (exclusive) pageMoveAnonRmap(vm, page, vma);
  unlockPage(memmap, head);
  return exclusive;
}

/**
 * Copies a page.
 *
 * @param old NULL_PAGE for the zero page, or for a frame without a counted struct page
 * @see wp_page_copy()
 */
function* wpPageCopy(fault: FaultContext, old: Page): Sleeps<VmFault> {
  const { vma, address, entry } = fault;
  const { mm } = vma;
  const { vm } = mm;
  const { memmap } = vm;
  const oldHead = old === NULL_PAGE ? old : memmap.compoundHead(old);
  if (old !== NULL_PAGE) memmap.getPage(oldHead);
  const fresh = yield* allocAnonymous(vma, address);
  if (fresh === NULL_PAGE) {
    if (old !== NULL_PAGE) memmap.putPage(oldHead);
    return VmFault.OOM;
  }
  copyContents(fault, fresh, old);
  const end = (address + 4096) as typeof address;
  const range: MmuNotifierRange = { mm, start: address, end, event: MmuNotifyEvent.Clear };
  yield* invalidateRangeStart(range);
  if (entrySame(fault) && !mm.unstable) {
    if (old !== NULL_PAGE) {
      const kind = rssKind(mm, old);
      mm.rss[kind] = (mm.rss[kind] as number) - 1;
    }
    mapNewAnonymous(vm, vma, address, entry, fresh);
    // Unsharing only: the entry stays read-only and clean, and the first write faults for dirty tracking.
    if ((fault.flags & FaultFlag.UNSHARE) !== 0) mm.pageTable.setFlags(entry, unsharedEntryFlags(fault));
    if (old !== NULL_PAGE) {
      pageRemoveRmap(vm, old);
      munlockVmaPage(old, vma);
      vm.pages.put(oldHead);
    }
  } else {
    memmap.putPage(fresh);
  }
  yield* invalidateRangeEnd(range);
  if (old !== NULL_PAGE) vm.pages.put(oldHead);
  return 0;
}

function unsharedEntryFlags({ origFlags }: FaultContext): number {
  return Pte.present | Pte.accessed | (origFlags & Pte.softDirty);
}

/**
 * Copies the contents that the process sees at the address. Frames without memory, such as registers, read as ones.
 * @see __wp_page_copy_user()
 */
function copyContents(fault: FaultContext, fresh: Page, old: Page): void {
  const { vma, origValue, origFlags } = fault;
  const { memmap, zeroPfn } = vma.mm.vm;
  if (old !== NULL_PAGE) return memmap.contents.copy(fresh, old);
  // An uncounted frame may go away while the allocation sleeps, and its entry is removed then.
  if (!entrySame(fault)) return;
  if ((origFlags & Pte.special) === 0) return memmap.contents.copy(fresh, entryPage(origValue));
  const frame = specialPfn(origValue, origFlags);
  if (frame === zeroPfn) return;
  if (memmap.pfnValid(frame)) memmap.contents.copy(fresh, memmap.pfnToPage(frame));
  else memmap.contents.write(fresh, 0, new Uint8Array(PAGE_SIZE).fill(0xff));
}
