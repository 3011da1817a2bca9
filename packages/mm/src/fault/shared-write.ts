// The first write to a page of a shared mapping, whose entry is read-only so that the write faults: page_mkwrite() of
// the file system is called before the write, and the page becomes dirty after it. Kernel counterparts:
// wp_page_shared() and wp_pfn_shared() in mm/memory.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { lockPage, unlockPage } from "../page-lock.ts";
import type { FaultContext } from "../vma/vma.ts";
import { doPageMkwrite, faultDirtySharedPage } from "./file.ts";
import { entrySame } from "./fault-context.ts";
import { VM_FAULT_ERROR, VmFault } from "./vm-fault.ts";
import { wpPageReuse } from "./reuse-page.ts";

/** Handles a write to a read-only entry of a shared page. @see wp_page_shared() */
export function* wpPageShared(fault: FaultContext, page: Page): Sleeps<VmFault> {
  const { memmap } = fault.vma.mm.vm;
  const head = memmap.compoundHead(page);
  memmap.getPage(head);
  fault.page = head;
  const result = yield* sharePageWritable(fault);
  memmap.putPage(head);
  return result;
}

/** Calls page_mkwrite(), makes the entry writable and the page dirty. */
function* sharePageWritable(fault: FaultContext): Sleeps<VmFault> {
  const { memmap } = fault.vma.mm.vm;
  if (!fault.vma.ops?.pageMkwrite) {
    wpPageReuse(fault);
    yield* lockPage(memmap, fault.page);
  } else {
    const result = yield* doPageMkwrite(fault);
    if ((result & VmFault.LOCKED) === 0) return result & VM_FAULT_ERROR;
    if (!entrySame(fault)) {
      unlockPage(memmap, fault.page);
      return 0;
    }
    wpPageReuse(fault);
  }
  yield* faultDirtySharedPage(fault);
  return 0;
}

/** Handles a write to a read-only entry of a frame without a struct page. @see wp_pfn_shared() */
export function* wpPfnShared(fault: FaultContext): Sleeps<VmFault> {
  const pfnMkwrite = fault.vma.ops?.pfnMkwrite;
  if (pfnMkwrite) {
    const result = yield* pfnMkwrite(fault);
    if ((result & (VM_FAULT_ERROR | VmFault.NOPAGE)) !== 0) return result;
    if (!entrySame(fault)) return 0;
  }
  wpPageReuse(fault);
  return 0;
}
