// Events that are counted for the machine and for the memory cgroup concerned: the cgroup of an address space, of a
// page, or of an lruvec. /proc/vmstat shows the former, memory.stat the latter. Kernel counterparts:
// count_vm_events() in include/linux/vmstat.h, count_memcg_events() in include/linux/memcontrol.h.
import type { Page } from "@hetmem/kernel";
import type { MmStruct } from "./mm-struct.ts";
import type { Lruvec } from "./lru/lruvec.ts";
import type { Vm } from "./vm.ts";

/**
 * Counts an event of an address space.
 *
 * @param event by VmEvent
 * @see count_memcg_event_mm()
 */
export function countMmEvent(mm: MmStruct, event: number): void {
  const { charging, memory } = mm.vm;
  memory.allocator.countEvent(event, 1);
  if (charging.counts !== undefined) charging.counts.mmEvent(mm, event, 1);
}

/**
 * Counts an event of a page.
 *
 * @param times small pages to count
 * @see count_memcg_folio_events()
 */
export function countPageEvent({ charging, memory }: Vm, page: Page, event: number, times: number): void {
  memory.allocator.countEvent(event, times);
  charging.counts?.pageEvent(page, event, times);
}

/** Counts an event of an lruvec. @see count_memcg_events() */
export function countLruvecEvent(
  { charging, memory }: Vm,
  lruvec: Lruvec,
  event: number,
  times: number,
): void {
  memory.allocator.countEvent(event, times);
  charging.counts?.lruvecEvent(lruvec, event, times);
}
