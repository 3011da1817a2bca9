// The port to whoever counts what a page costs and whom: memory cgroups. The default counts nobody and costs nothing.
// Kernel counterpart: include/linux/memcontrol.h.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "./mm-struct.ts";

export interface PageCharging {
  /**
   * Charges a new page to the cgroup of an address space, if that fits without waiting.
   *
   * @param mm undefined: the kernel's own, charged to nobody
   * @param pages 2^order
   * @returns false when it is over a limit: try charge(), which reclaims
   * @see mem_cgroup_charge()
   */
  tryCharge(mm: MmStruct | undefined, page: Page, pages: number): boolean;
  /** The same, with reclaim and the cgroup's OOM killer. @returns false: the allocation fails with ENOMEM */
  charge(mm: MmStruct | undefined, page: Page, pages: number): Sleeps<boolean>;
  /** The page is being freed. @see mem_cgroup_uncharge() */
  uncharge(page: Page, pages: number): void;
  /** Each of the pages of a compound page is charged for itself from now on. @see split_page_memcg() */
  split(head: Page, pages: number): void;
  /** `fresh` takes the place of `old`, and its charge. @see mem_cgroup_migrate() */
  migrate(old: Page, fresh: Page): void;
  /** A page goes to a swap slot: its cgroup pays for that too. @returns false when it may have no more swap @see mem_cgroup_try_charge_swap() */
  tryChargeSwap(page: Page, device: number, slot: number): boolean;
  /** Slots of a swap device are free again, from one on: whoever was charged for each has it back. @see mem_cgroup_uncharge_swap() */
  unchargeSwap(device: number, slot: number, pages: number): void;
  /** Which LRU lists a page belongs on: undefined for those of its node. @see folio_lruvec() */
  readonly lruvec: ((page: Page, node: NodeId) => number) | undefined;
}

/** Nobody pays. @see CONFIG_MEMCG=n */
export const uncharged: PageCharging = {
  tryCharge: () => true,
  *charge() {
    return true;
  },
  uncharge: () => {},
  split: () => {},
  migrate: () => {},
  tryChargeSwap: () => true,
  unchargeSwap: () => {},
  lruvec: undefined,
};
