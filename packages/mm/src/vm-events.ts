// Events of the machine that are counted for cgroups as well: of whoever's memory it is. Kernel counterpart:
// count_vm_events() in include/linux/vmstat.h, beside count_memcg_events() in include/linux/memcontrol.h.
import type { Page } from "@hetmem/kernel";
import type { MmStruct } from "./mm-struct.ts";
import type { Lruvec } from "./lru/lruvec.ts";
import type { Vm } from "./vm.ts";

/** Something happened to an address space. @param event by VmEvent @see count_memcg_event_mm() */
export function countMmEvent(mm: MmStruct, event: number): void {
  const { charging, memory } = mm.vm;
  memory.allocator.countEvent(event, 1);
  if (charging.counts !== undefined) charging.counts.mmEvent(mm, event, 1);
}

/** Something happened to a page. @param times small pages that it is counted for @see count_memcg_folio_events() */
export function countPageEvent({ charging, memory }: Vm, page: Page, event: number, times: number): void {
  memory.allocator.countEvent(event, times);
  charging.counts?.pageEvent(page, event, times);
}

/** Something happened to pages of some LRU lists. @see count_memcg_events() */
export function countLruvecEvent(
  { charging, memory }: Vm,
  lruvec: Lruvec,
  event: number,
  times: number,
): void {
  memory.allocator.countEvent(event, times);
  charging.counts?.lruvecEvent(lruvec, event, times);
}
