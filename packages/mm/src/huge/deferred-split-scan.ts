// Huge pages that wait to be divided are divided when memory is short. Kernel counterpart: deferred_split_scan() in
// mm/huge_memory.c.
import { condResched, type NodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { trylockPage, unlockPage } from "../page-lock.ts";
import type { Vm } from "../vm.ts";
import { splitHugePage } from "./split-page.ts";

/** Fewer than these aren't worth a look, as long as there is time. @see SHRINK_BATCH */
const SHRINK_BATCH = 128;

/** What a round of reclaim on a node does about them: nothing before it becomes urgent, unless there are many. @see do_shrink_slab() */
export function* shrinkDeferredSplits(vm: Vm, node: NodeId, priority: number): Sleeps<void> {
  const waiting = waitingOn(vm, node).length;
  const share = (waiting >> priority) * 2;
  if (waiting > 0 && (share >= waiting || share >= SHRINK_BATCH)) yield* deferredSplitScan(vm, node, share);
}

/**
 * Divides huge pages of a node that wait for it; those that somebody uses now wait on.
 *
 * @param most pages to try
 * @returns how many were divided
 * @see deferred_split_scan()
 */
export function* deferredSplitScan(vm: Vm, node: NodeId, most: number): Sleeps<number> {
  const { memmap } = vm;
  let split = 0;
  for (const head of waitingOn(vm, node).slice(0, most)) {
    yield condResched;
    // It may be gone by now, or be somebody else's small page.
    if (!vm.deferredSplits.has(head) || !memmap.getPageUnlessZero(head)) continue;
    if (trylockPage(memmap, head)) {
      if (yield* splitHugePage(vm, head)) split++;
      unlockPage(memmap, head);
    }
    vm.pages.put(head);
  }
  return split;
}

function waitingOn({ deferredSplits, memmap }: Vm, node: NodeId): Page[] {
  return [...deferredSplits].filter((head) => memmap.nodeOf(head) === node);
}
