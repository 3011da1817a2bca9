// The first write to 2 MiB of anonymous memory that may be a huge page. Kernel counterpart:
// do_huge_pmd_anonymous_page() in mm/huge_memory.c. Not modelled: settings of transparent_hugepage/defrag other than
// "madvise", the default.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { Gfp, GFP_TRANSHUGE, VmEvent } from "@hetmem/zone";
import { FaultFlag, VmFault } from "../fault/vm-fault.ts";
import { Rss } from "../mm-struct.ts";
import { allocUncharged, tryAllocUncharged } from "../policy/policy-alloc.ts";
import { countPageEvent } from "../vm-events.ts";
import { mlockVmaHuge } from "../vma/mlock-page.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { transhugeVmaSuitable } from "./eligibility.ts";
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER, hugeAddNewAnonRmap, prepTranshugePage } from "./huge-counts.ts";
import { hugeAddress } from "./split-pmd.ts";

/**
 * Gfp flags without reclaim. Mappings with MADV_HUGEPAGE use GFP_TRANSHUGE, which reclaims.
 *
 * @see GFP_TRANSHUGE_LIGHT
 */
const GFP_TRANSHUGE_LIGHT: number = GFP_TRANSHUGE & ~Gfp.DIRECT_RECLAIM;

/**
 * Fills an empty PMD entry of an anonymous mapping. The mmap lock is held for reading.
 *
 * @returns 0 when the access can be repeated; FALLBACK when the range isn't suitable or no huge page is free; SIGBUS
 *   after the OOM reaper
 * @see do_huge_pmd_anonymous_page()
 */
export function* doHugePmdAnonymousPage(vma: Vma, address: VirtAddr, flags: number): Sleeps<VmFault> {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  if ((flags & FaultFlag.WRITE) === 0 || !transhugeVmaSuitable(vma, address)) return VmFault.FALLBACK;
  const pmd = pageTable.ensurePmd(address);
  if (pmd === NO_ENTRY) return VmFault.FALLBACK;
  vm.anonVmas.prepare(vma);
  const page = yield* allocHugePage(vma, hugeAddress(address));
  if (page === NULL_PAGE) return VmFault.FALLBACK;
  if (pageTable.flags(pmd) !== 0 || mm.unstable) {
    vm.memmap.putPage(page);
    // After the OOM reaper has run, the range may have held written data: zeros would be wrong.
    return mm.unstable ? VmFault.SIGBUS : 0;
  }
  if (!pageTable.deposit()) {
    vm.memmap.putPage(page);
    return VmFault.FALLBACK;
  }
  mapNewHuge(vma, hugeAddress(address), pmd, page);
  mm.rss[Rss.anon] = (mm.rss[Rss.anon] as number) + HPAGE_PMD_NR;
  countPageEvent(vm, page, VmEvent.thp_fault_alloc, 1);
  return 0;
}

/**
 * Maps a new, written huge page with an empty PMD entry, exclusively to this mapping. A page table is deposited
 * already. The caller's reference becomes the entry's, and the caller counts the resident pages.
 *
 * @param address first address of the 2 MiB
 * @param pmd number of the PMD entry
 */
export function mapNewHuge(vma: Vma, address: VirtAddr, pmd: number, page: Page): void {
  const { pageTable, vm } = vma.mm;
  hugeAddNewAnonRmap(vm, page, vma, address);
  vm.lru.add(page);
  mlockVmaHuge(page, vma);
  const written = Pte.dirty | Pte.softDirty | ((vma.flags & VmFlag.WRITE) !== 0 ? Pte.write : 0);
  pageTable.set(pmd, page, Pte.present | Pte.huge | Pte.accessed | written);
}

/** Allocates and charges a huge page. @returns NULL_PAGE when there is none, which is counted as a fallback */
function* allocHugePage(vma: Vma, address: VirtAddr): Sleeps<Page> {
  const { mm } = vma;
  const { vm } = mm;
  const { allocator } = vm.memory;
  const gfp = vmaThpGfpMask(vma);
  const found =
    (gfp & Gfp.DIRECT_RECLAIM) === 0
      ? tryAllocUncharged(vma, mm, address, gfp, HPAGE_PMD_ORDER)
      : yield* allocUncharged(vma, mm, address, gfp, HPAGE_PMD_ORDER);
  const page = found === NULL_PAGE ? found : yield* vm.pages.charge(mm, found, HPAGE_PMD_ORDER, gfp);
  if (page === NULL_PAGE) allocator.countEvent(VmEvent.thp_fault_fallback, 1);
  else prepTranshugePage(vm.memmap, page);
  if (page !== found) allocator.countEvent(VmEvent.thp_fault_fallback_charge, 1);
  return page;
}

/** Gfp flags by the mapping's advice. @see vma_thp_gfp_mask() */
function vmaThpGfpMask({ flags }: Vma): number {
  return (flags & VmFlag.HUGEPAGE) !== 0 ? GFP_TRANSHUGE : GFP_TRANSHUGE_LIGHT;
}
