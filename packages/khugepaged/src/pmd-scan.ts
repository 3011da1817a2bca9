// A scan of the 512 entries of 2 MiB, which decides whether they may and should become a huge page. It runs twice, both
// times atomically: first to decide, and again under the locks that keep other tasks out. Kernel counterpart:
// hpage_collapse_scan_pmd() and __collapse_huge_page_isolate() in mm/khugepaged.c.
import type { NodeId, Page } from "@hetmem/kernel";
import type { Vma } from "@hetmem/mm";
import { type HugeAsker, totalMapcount } from "@hetmem/mm/huge";
import { pageAnon, pageMapcount } from "@hetmem/mm/rmap";
import { mmuNotifierTestYoung } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { ENTRIES, entryPage, Pte, specialPfn } from "@hetmem/page-table";
import { VmEvent, ZoneType } from "@hetmem/zone";

/** Result of a scan, or of a collapse, with the names of the kernel's tracepoints. @see enum scan_result */
export type ScanResult =
  | "failed"
  | "succeeded"
  | "pmd_null"
  | "pmd_none"
  | "page_pmd_mapped"
  | "exceed_none_pte"
  | "exceed_swap_pte"
  | "exceed_shared_pte"
  | "pte_non_present"
  | "no_writable_page"
  | "lack_referenced_page"
  | "page_null"
  | "not_suitable_page_count"
  | "page_not_in_lru"
  | "page_locked"
  | "page_not_anon"
  | "no_process_for_page"
  | "vma_null"
  | "vma_check_failed"
  | "not_suitable_address_range"
  | "alloc_huge_page_failed"
  | "ccgroup_charge_failed";

/** On whose behalf a range is collapsed: khugepaged has limits, madvise(2) has none. @see struct collapse_control */
export type CollapseAsker = Extract<HugeAsker, "khugepaged" | "madvise">;

/**
 * Treatment of entries that aren't present: the first scan counts them, since they can be swapped in; the second
 * refuses them.
 */
export type NonPresent = "counted" | "refused";

export class PmdScan {
  /** Entries that are empty or map the zero page. */
  none = 0;
  /** Entries that aren't present and aren't empty. */
  unmapped = 0;
  /** Entries whose page other entries map, too. */
  private shared = 0;
  /** Entries whose page was accessed. */
  private referenced = 0;
  private writable = false;
  /** Pages by node. */
  private readonly load: number[] = [];
  /** Head of the compound page that was checked last. Its parts mostly follow one another, and are checked once. */
  private lastHead = -1;
  private readonly vma: Vma;
  private readonly asker: CollapseAsker;
  private readonly nonPresent: NonPresent;

  constructor(vma: Vma, asker: CollapseAsker, nonPresent: NonPresent) {
    this.vma = vma;
    this.asker = asker;
    this.nonPresent = nonPresent;
  }

  /**
   * Scans all entries of a table.
   *
   * @param first number of the first entry of the table
   * @returns "succeeded" if the range may and should be collapsed, else the reason
   */
  run(first: number): ScanResult {
    for (let entry = first; entry < first + ENTRIES; entry++) {
      const refusal = this.scanEntry(entry);
      if (refusal !== undefined) return refusal;
    }
    if (!this.writable) return "no_writable_page";
    const used = this.referenced > 0 && (this.unmapped === 0 || this.referenced >= ENTRIES / 2);
    return this.asker === "khugepaged" && !used ? "lack_referenced_page" : "succeeded";
  }

  /** The nodes with most of the pages, on which the huge page is allocated. @see hpage_collapse_find_target_node() */
  get nodes(): NodeId[] {
    const most = Math.max(0, ...this.load.filter((pages) => pages !== undefined));
    return this.load.flatMap((pages, node) => (pages === most ? [node as NodeId] : []));
  }

  /** Scans one entry. @returns the reason if this entry alone forbids the collapse, else undefined */
  private scanEntry(entry: number): ScanResult | undefined {
    const { pageTable, vm } = this.vma.mm;
    const flags = pageTable.flags(entry);
    const special = (flags & Pte.special) !== 0;
    if (flags === 0 || (special && specialPfn(pageTable.value(entry), flags) === vm.zeroPfn))
      return this.countNone();
    if ((flags & Pte.present) === 0) return this.countUnmapped();
    const page = entryPage(pageTable.value(entry));
    if (special || vm.memmap.zoneOf(page) === ZoneType.Device) return "page_null";
    if ((flags & Pte.write) !== 0) this.writable = true;
    return this.scanPage(entry, page);
  }

  /** Scans the page of a present entry. @returns the reason if the page forbids the collapse, else undefined */
  private scanPage(entry: number, page: Page): ScanResult | undefined {
    const { pageTable, vm } = this.vma.mm;
    const { memmap } = vm;
    if (pageMapcount(memmap, page) > 1 && this.exceedsShared()) return "exceed_shared_pte";
    const head = memmap.compoundHead(page);
    const node = memmap.nodeOf(head);
    this.load[node] = (this.load[node] ?? 0) + 1;
    const state = memmap.flags(head);
    if ((state & PageFlag.lru) === 0) return "page_not_in_lru";
    if ((state & PageFlag.locked) !== 0) return "page_locked";
    if (!pageAnon(vm, head)) return "page_not_anon";
    // A reference that belongs neither to an entry nor to the swap cache may be a pin, and a pinned page must stay.
    if (head !== this.lastHead && !this.isRefcountSuitable(head)) return "not_suitable_page_count";
    this.lastHead = head;
    const used =
      (pageTable.flags(entry) & Pte.accessed) !== 0 || (state & (PageFlag.young | PageFlag.referenced)) !== 0;
    if (used || mmuNotifierTestYoung(this.vma.mm, pageTable.addressOf(entry))) this.referenced++;
    return undefined;
  }

  private countNone(): ScanResult | undefined {
    const { allocator } = this.vma.mm.vm.memory;
    this.none++;
    if (this.asker === "madvise" || this.none <= this.limits.khugepagedMaxPtesNone) return undefined;
    allocator.countEvent(VmEvent.thp_scan_exceed_none_pte, 1);
    return "exceed_none_pte";
  }

  private countUnmapped(): ScanResult | undefined {
    if (this.nonPresent === "refused") return "pte_non_present";
    this.unmapped++;
    if (this.asker === "madvise" || this.unmapped <= this.limits.khugepagedMaxPtesSwap) return undefined;
    this.vma.mm.vm.memory.allocator.countEvent(VmEvent.thp_scan_exceed_swap_pte, 1);
    return "exceed_swap_pte";
  }

  private exceedsShared(): boolean {
    this.shared++;
    if (this.asker === "madvise" || this.shared <= this.limits.khugepagedMaxPtesShared) return false;
    this.vma.mm.vm.memory.allocator.countEvent(VmEvent.thp_scan_exceed_share_pte, 1);
    return true;
  }

  /** Whether all references of a page are those of entries and of the swap cache. @see is_refcount_suitable() */
  private isRefcountSuitable(head: Page): boolean {
    const { memmap } = this.vma.mm.vm;
    const cached = memmap.test(head, PageFlag.swapcache) ? 1 << memmap.compoundOrder(head) : 0;
    return memmap.refcount(head) === totalMapcount(memmap, head) + cached;
  }

  private get limits(): Vma["mm"]["vm"]["tunables"] {
    return this.vma.mm.vm.tunables;
  }
}
