// The page table walk of 4.14's snapshots and faults. Its results differ from later kernels': never-touched pages
// have a flag of their own, and the owner of a private page doesn't matter. Kernel counterpart: hmm_vma_walk_pmd(),
// hmm_vma_walk_hole() and hmm_vma_walk_clear() in mm/hmm.c of 4.14.
import type { Page, VirtAddr } from "@hetmem/kernel";
import { type MmWalk, type MmWalkOps, type Vma, VmFlag, WalkAction } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { EntryKind, entryKind, entryPage, isDevicePrivate, isMigration, Pte } from "@hetmem/page-table";
import { Need, WalkStop } from "../walk-stop.ts";
import { HmmVmaPfn } from "./hmm-vma-pfn.ts";
import type { HmmVmaRange } from "./hmm-vma-range.ts";

/** Whether missing pages are reported, faulted in, or faulted in for writing. */
export type HmmVmaAccess = "snapshot" | "fault" | "fault to write";

export class HmmVmaPfnWalk implements MmWalkOps {
  readonly stop: WalkStop;
  private readonly range: HmmVmaRange;
  /** The need for a missing page, and for a page that is read-only. */
  private readonly missing: Need;
  private readonly readOnly: Need;

  constructor(range: HmmVmaRange, access: HmmVmaAccess) {
    this.range = range;
    this.stop = new WalkStop(range.start);
    this.readOnly = access === "fault to write" ? Need.writeFault : Need.nothing;
    this.missing = access === "fault" ? Need.fault : this.readOnly;
  }

  pteHole(address: VirtAddr, next: VirtAddr, { vma }: MmWalk): number {
    for (let at = address; at < next; at = (at + 4096) as VirtAddr)
      this.answer(at, NULL_PAGE as Page, HmmVmaPfn.empty);
    return this.missing === Need.nothing ? 0 : this.stop.at(address, next, vma, this.missing);
  }

  pmdEntry(pmd: number, address: VirtAddr, next: VirtAddr, walk: MmWalk): number {
    const { pageTable } = this.range.hmm.mm;
    const flags = pageTable.flags(pmd);
    if ((flags & Pte.table) !== 0) return 0;
    walk.action = WalkAction.continue;
    const hinted = (flags & Pte.protnone) !== 0;
    const need = hinted ? this.missing : (flags & Pte.write) === 0 ? this.readOnly : Need.nothing;
    if (need !== Need.nothing) return this.stop.at(address, next, walk.vma, need);
    const answer = hinted ? 0 : validFor(walk.vma, flags);
    let page = (pageTable.value(pmd) + ((address / 4096) & 511)) as Page;
    for (let at = address; at < next; at = (at + 4096) as VirtAddr)
      this.answer(at, hinted ? (NULL_PAGE as Page) : (page++ as Page), answer);
    return 0;
  }

  pteRange(first: number, address: VirtAddr, next: VirtAddr, { vma }: MmWalk): number {
    const { words } = this.range.hmm.mm.pageTable;
    for (let at = address, word = first << 1; at < next; at = (at + 4096) as VirtAddr, word += 2) {
      const need = this.handleEntry(vma, words[word] as number, words[word | 1] as number, at);
      if (need !== Need.nothing) return this.stop.at(at, next, vma, need);
    }
    return 0;
  }

  private handleEntry(vma: Vma | undefined, value: number, flags: number, address: VirtAddr): Need {
    if ((flags & Pte.present) === 0) return this.handleNonPresent(vma, value, flags, address);
    if ((flags & Pte.write) === 0 && this.readOnly !== Need.nothing) return this.readOnly;
    // In a mapping that isn't special, the zero page is the only page that isn't refcounted.
    const page = (flags & Pte.special) === 0 ? entryPage(value) : this.range.hmm.mm.vm.zeroPage;
    return this.answer(address, page, validFor(vma, flags));
  }

  private handleNonPresent(vma: Vma | undefined, value: number, flags: number, address: VirtAddr): Need {
    if (isDevicePrivate(flags)) {
      const writes = entryKind(flags) === EntryKind.devicePrivateWrite;
      if (!writes && this.readOnly !== Need.nothing) return this.readOnly;
      const valid = validFor(vma, writes ? Pte.write : 0);
      return this.answer(address, entryPage(value), valid | HmmVmaPfn.deviceUnaddressable);
    }
    if (entryKind(flags) === EntryKind.hwpoison)
      return this.answer(address, NULL_PAGE as Page, HmmVmaPfn.error);
    this.answer(address, NULL_PAGE as Page, flags === 0 ? HmmVmaPfn.empty : 0);
    return isMigration(flags) && this.missing !== Need.nothing ? Need.migration : this.missing;
  }

  private answer(address: VirtAddr, page: Page, flags: number): Need {
    const { pfns, start } = this.range;
    const at = (address - start) / 2048;
    pfns[at] = page;
    pfns[at | 1] = flags;
    return Need.nothing;
  }
}

/** Flags for an entry with a page: valid, read if the mapping is readable, write if the entry is writable. */
function validFor(vma: Vma | undefined, flags: number): number {
  const read = vma !== undefined && (vma.flags & VmFlag.READ) !== 0 ? HmmVmaPfn.read : 0;
  return HmmVmaPfn.valid | read | ((flags & Pte.write) !== 0 ? HmmVmaPfn.write : 0);
}
