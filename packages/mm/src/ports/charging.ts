// The port to whoever counts what a page costs and whom: memory cgroups. The default counts nobody and costs nothing.
// Kernel counterpart: include/linux/memcontrol.h.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { Process } from "../process/process.ts";
import type { Lruvec } from "../lru/lruvec.ts";
import type { ReclaimGroups } from "./reclaim-groups.ts";
import type { Vm } from "../vm.ts";

export interface PageCharging {
  /** The machine is made: its LRU lists are there. */
  start(vm: Vm): void;
  /**
   * Charges a new page to the cgroup of an address space, if that fits without waiting.
   *
   * @param mm undefined: the kernel's own, charged to nobody
   * @param pages 2^order
   * @returns false when it is over a limit: try charge(), which reclaims
   * @see mem_cgroup_charge()
   */
  tryCharge(mm: MmStruct | undefined, page: Page, pages: number): boolean;
  /**
   * The same, with reclaim and the cgroup's OOM killer.
   *
   * @param gfp what may be done to make room
   * @returns false: the allocation fails with ENOMEM
   */
  charge(mm: MmStruct | undefined, page: Page, pages: number, gfp: number): Sleeps<boolean>;
  /** A page of a file that the kernel reads for itself is the root's, who has no limit. */
  chargeRoot(page: Page): void;
  /**
   * Charges a page that the kernel has for a process: a page table, a stack.
   *
   * @param payer as an address space has it
   * @see __memcg_kmem_charge_page()
   */
  tryChargeKernel(payer: number, page: Page, pages: number): boolean;
  /**
   * Charges a page that a swap slot is read into to whoever pays for the slot, or, when he is gone, to whoever reads it.
   *
   * @param mm undefined: nobody runs who could pay instead
   * @see mem_cgroup_swapin_charge_folio()
   */
  chargeSwapIn(
    mm: MmStruct | undefined,
    page: Page,
    device: number,
    slot: number,
    gfp: number,
  ): Sleeps<boolean>;
  /** The page is being freed. @see mem_cgroup_uncharge() */
  uncharge(page: Page, pages: number): void;
  /** The same for the first so many small pages of an array. @see mem_cgroup_uncharge_list() */
  unchargeBatch(pages: Int32Array, count: number): void;
  /** Each of the pages of a compound page is charged for itself from now on. @see split_page_memcg() */
  split(head: Page, pages: number): void;
  /** `fresh` takes the place of `old`, and its charge; what is counted for the old page has to be counted for the new one. @see mem_cgroup_migrate() */
  migrate(old: Page, fresh: Page): void;
  /** A page goes to a swap slot: its cgroup pays for that too. @returns false when it may have no more swap @see mem_cgroup_try_charge_swap() */
  tryChargeSwap(page: Page, device: number, slot: number): boolean;
  /** There was no slot for a page. */
  swapIsFull(page: Page): void;
  /** Slots of a swap device are free again, from one on: whoever was charged for each has it back. @see mem_cgroup_uncharge_swap() */
  unchargeSwap(device: number, slot: number, pages: number): void;
  /** Id of the LRU lists that a page belongs on; undefined: of its node's. @see folio_lruvec() */
  readonly lruvec: ((page: Page, node: NodeId) => number) | undefined;
  /** Who keeps counters for each cgroup; undefined: nobody. */
  readonly counts: CgroupCounts | undefined;
  /** Who divides memory, for reclaim and the OOM killer; undefined: nobody. */
  readonly groups: ReclaimGroups | undefined;
  /** What a process has to do before it is back in user mode, for having taken too much; undefined: nothing. @see mem_cgroup_handle_over_high() */
  readonly handleOverHigh: ((process: Process) => Sleeps<void> | undefined) | undefined;
}

/** Counters of nodes and of the machine that are kept for each cgroup too. What isn't, is ignored. */
export interface CgroupCounts {
  /** A counter of a page's cgroup on a node. @param item by NodeStat @see mod_lruvec_page_state() */
  page(page: Page, node: NodeId, item: number, by: number): void;
  /** A page is mapped by the kernel with others that don't lie beside it, or no longer. @see MEMCG_VMALLOC */
  vmallocPage(page: Page, by: number): void;
  /** An event, by VmEvent, that happened to a page. @see count_memcg_folio_events() */
  pageEvent(page: Page, event: number, by: number): void;
  /** @see count_memcg_event_mm() */
  mmEvent(mm: MmStruct, event: number, by: number): void;
  /** @see count_memcg_events() */
  lruvecEvent(lruvec: Lruvec, event: number, by: number): void;
}

/** Nobody pays. @see CONFIG_MEMCG=n */
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
