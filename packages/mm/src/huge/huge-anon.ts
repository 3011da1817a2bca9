// The first touch of 2 MiB of anonymous memory that may be a huge page. Kernel counterpart: do_huge_pmd_anonymous_page()
// in mm/huge_memory.c. Not modelled: the choices of .../transparent_hugepage/defrag other than "madvise", its default.
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

/** Memory for a huge page, without reclaim; processes that ask for huge pages wait for it. @see GFP_TRANSHUGE_LIGHT */
const GFP_TRANSHUGE_LIGHT: number = GFP_TRANSHUGE & ~Gfp.DIRECT_RECLAIM;

/**
 * Fills an empty directory entry of an anonymous mapping. The mmap lock is held for reading.
 *
 * @returns FALLBACK where it can't be a huge page, or there is none to be had
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
    // The OOM killer may have taken what was written here: it must not be read as zeros.
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
 * A new, written huge page of this mapping alone takes an empty directory entry, for which a table is put by. The
 * caller's reference becomes the entry's; the caller counts what is resident.
 */
export function mapNewHuge(vma: Vma, address: VirtAddr, pmd: number, page: Page): void {
  const { pageTable, vm } = vma.mm;
  hugeAddNewAnonRmap(vm, page, vma, address);
  vm.lru.add(page);
  mlockVmaHuge(page, vma);
  const written = Pte.dirty | Pte.softDirty | ((vma.flags & VmFlag.WRITE) !== 0 ? Pte.write : 0);
  pageTable.set(pmd, page, Pte.present | Pte.huge | Pte.accessed | written);
}

/** @returns NULL_PAGE when there is none, which is counted */
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

/** @see vma_thp_gfp_mask() */
function vmaThpGfpMask({ flags }: Vma): number {
  return (flags & VmFlag.HUGEPAGE) !== 0 ? GFP_TRANSHUGE : GFP_TRANSHUGE_LIGHT;
}
