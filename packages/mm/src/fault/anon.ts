// The first access to a page of anonymous memory: a write gets a new zeroed page, exclusive to the process; a read
// gets the zero page, read-only. Atomic. A caller that gets OOM reclaims memory and tries again. Kernel counterpart:
// do_anonymous_page() in mm/memory.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { Pte, specialFlags, specialValue } from "@hetmem/page-table";
import { Gfp, GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { Rss } from "../mm-struct.ts";
import { allocWithPolicy, tryAllocWithPolicy } from "../policy/policy-alloc.ts";
import { pageAddNewAnonRmap } from "../rmap/map-counts.ts";
import type { Vm } from "../vm.ts";
import { mlockVmaPage } from "../vma/mlock-page.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { FaultFlag, VmFault } from "./vm-fault.ts";

export const GFP_USER_PAGE: number = GFP_HIGHUSER_MOVABLE | Gfp.ZERO;

/**
 * Fills an empty entry of an anonymous mapping.
 *
 * @param flags FaultFlag bits
 * @returns 0, or OOM when no page is free now
 */
export function fillAnonymous(vm: Vm, vma: Vma, address: VirtAddr, entry: number, flags: number): VmFault {
  const { mm } = vma;
  if ((flags & FaultFlag.WRITE) === 0) {
    mm.pageTable.set(entry, specialValue(vm.zeroPfn), specialFlags(vm.zeroPfn, Pte.present | Pte.accessed));
    return 0;
  }
  const page =
    vma.policy === undefined && mm.policy === undefined
      ? vm.pages.tryAlloc(GFP_USER_PAGE, 0, mm.node, mm)
      : tryAllocWithPolicy(vm, vma, mm, address, GFP_USER_PAGE, 0);
  if (page === NULL_PAGE) return VmFault.OOM;
  mapNewAnonymous(vm, vma, address, entry, page);
  return 0;
}

/** Allocates a page for an address of a mapping, with reclaim. @returns NULL_PAGE when reclaim frees none */
export function* allocAnonymous(vma: Vma, address: VirtAddr): Sleeps<Page> {
  return yield* allocWithPolicy(vma.mm.vm, vma, vma.mm, address, GFP_USER_PAGE, 0);
}

/** Maps a new, written page exclusively to this mapping. The caller's reference becomes the entry's. */
export function mapNewAnonymous(vm: Vm, vma: Vma, address: VirtAddr, entry: number, page: Page): void {
  const { mm } = vma;
  if (vma.anonVma === undefined) vm.anonVmas.prepare(vma);
  pageAddNewAnonRmap(vm, page, vma, address);
  vm.lru.add(page);
  if ((vma.flags & VmFlag.LOCKED) !== 0) mlockVmaPage(page, vma);
  mm.rss[Rss.anon] = (mm.rss[Rss.anon] as number) + 1;
  mm.pageTable.set(entry, page, anonFlags(vma));
}

/** Flags of an entry for a page that was just written. @see mk_pte(), maybe_mkwrite() */
function anonFlags(vma: Vma): number {
  const flags = Pte.present | Pte.accessed;
  return (vma.flags & VmFlag.WRITE) !== 0 ? flags | Pte.write | Pte.dirty | Pte.softDirty : flags;
}
