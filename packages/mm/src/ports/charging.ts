// Port: charging of pages to memory cgroups, with the counters, LRU lists and reclaim groups that cgroups bring. The
// package memcg implements it. `uncharged` is the default, a machine without memory cgroups. Kernel counterpart:
// include/linux/memcontrol.h.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { Process } from "../process/process.ts";
import type { Lruvec } from "../lru/lruvec.ts";
import type { ReclaimGroups } from "./reclaim-groups.ts";
import type { Vm } from "../vm.ts";

export interface PageCharging {
  /** Called once, after the Vm and its LRU lists were made. */
  start(vm: Vm): void;
  /**
   * Charges a new page to the cgroup of an address space, without reclaim.
   *
   * @param mm undefined for a page of the kernel, which isn't charged
   * @param pages 2^order
   * @returns false over a limit, when charge() may help
   * @see mem_cgroup_charge()
   */
  tryCharge(mm: MmStruct | undefined, page: Page, pages: number): boolean;
  /**
   * tryCharge() with reclaim and the cgroup's OOM killer.
   *
   * @param gfp Gfp bits of the allocation
   * @returns false when the allocation must fail with ENOMEM
   */
  charge(mm: MmStruct | undefined, page: Page, pages: number, gfp: number): Sleeps<boolean>;
  /** Charges a page of a file that the kernel reads for itself to the root cgroup, which has no limit. */
  chargeRoot(page: Page): void;
  /**
   * Charges a page that the kernel allocates for a process, such as a page table or a stack.
   *
   * @param payer MmStruct.payer
   * @param pages 2^order
   * @returns false over a limit
   * @see __memcg_kmem_charge_page()
   */
  tryChargeKernel(payer: number, page: Page, pages: number): boolean;
  /**
   * Charges a page for swap-in to the cgroup that owns the slot, or to the reader's if that cgroup is gone.
   *
   * @param mm the address space that reads; undefined: the kernel
   * @param device number of the swap device
   * @param slot slot on the device
   * @param gfp Gfp bits of the allocation
   * @returns false when the swap-in must fail with ENOMEM
   * @see mem_cgroup_swapin_charge_folio()
   */
  chargeSwapIn(
    mm: MmStruct | undefined,
    page: Page,
    device: number,
    slot: number,
    gfp: number,
  ): Sleeps<boolean>;
  /** Uncharges a page that is being freed. @see mem_cgroup_uncharge() */
  uncharge(page: Page, pages: number): void;
  /** Uncharges the first `count` small pages of an array. @see mem_cgroup_uncharge_list() */
  unchargeBatch(pages: Int32Array, count: number): void;
  /** Charges each page of a compound page by itself, after a split. @see split_page_memcg() */
  split(head: Page, pages: number): void;
  /**
   * Transfers the charge of `old` to `fresh`, which replaces it. Counters of the old page must be counted for the new
   * one.
   *
   * @see mem_cgroup_migrate()
   */
  migrate(old: Page, fresh: Page): void;
  /**
   * Charges a swap slot to the cgroup of the page.
   *
   * @returns false over memory.swap.max
   * @see mem_cgroup_try_charge_swap()
   */
  tryChargeSwap(page: Page, device: number, slot: number): boolean;
  /** Reports that no swap slot was free for a page. @see MEMCG_SWAP_FAIL */
  swapIsFull(page: Page): void;
  /** Uncharges consecutive swap slots that became free. @see mem_cgroup_uncharge_swap() */
  unchargeSwap(device: number, slot: number, pages: number): void;
  /**
   * Id of the lruvec that a page belongs to; undefined: pages belong to the lruvec of their node.
   *
   * @see folio_lruvec()
   */
  readonly lruvec: ((page: Page, node: NodeId) => number) | undefined;
  /** Counters kept for each cgroup; undefined without cgroups. */
  readonly counts: CgroupCounts | undefined;
  /** The cgroups as reclaim and the OOM killer see them; undefined without cgroups. */
  readonly groups: ReclaimGroups | undefined;
  /**
   * Work that a process above memory.high must do before it returns to user mode; undefined for none.
   *
   * @see mem_cgroup_handle_over_high()
   */
  readonly handleOverHigh: ((process: Process) => Sleeps<void> | undefined) | undefined;
}

/** Port: counters that are kept for each cgroup besides the node and the machine. Other counters are ignored. */
export interface CgroupCounts {
  /**
   * Adds to a counter of a page's cgroup on a node.
   *
   * @param item by NodeStat
   * @see mod_lruvec_page_state()
   */
  page(page: Page, node: NodeId, item: number, by: number): void;
  /** Adds to the count of pages in vmalloc areas. @see MEMCG_VMALLOC */
  vmallocPage(page: Page, by: number): void;
  /**
   * Counts an event of a page.
   *
   * @param event by VmEvent
   * @see count_memcg_folio_events()
   */
  pageEvent(page: Page, event: number, by: number): void;
  /** Counts an event of an address space. @see count_memcg_event_mm() */
  mmEvent(mm: MmStruct, event: number, by: number): void;
  /** Counts an event of an lruvec. @see count_memcg_events() */
  lruvecEvent(lruvec: Lruvec, event: number, by: number): void;
}

/** No charging. @see CONFIG_MEMCG=n */
export const uncharged: PageCharging = {
  start: () => {},
  tryCharge: () => true,
  *charge() {
    return true;
  },
  chargeRoot: () => {},
  tryChargeKernel: () => true,
  *chargeSwapIn() {
    return true;
  },
  uncharge: () => {},
  unchargeBatch: () => {},
  split: () => {},
  migrate: () => {},
  tryChargeSwap: () => true,
  swapIsFull: () => {},
  unchargeSwap: () => {},
  lruvec: undefined,
  counts: undefined,
  groups: undefined,
  handleOverHigh: undefined,
};
