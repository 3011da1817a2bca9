// The shrinker of the deferred split queue: queued huge pages are split when memory is short, so that their unmapped
// parts are freed. Reclaim calls it for each node, with its priority. Kernel counterpart: deferred_split_scan() in
// mm/huge_memory.c.
import { condResched, type NodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { trylockPage, unlockPage } from "../page-lock.ts";
import type { Vm } from "../vm.ts";
import { splitHugePage } from "./split-page.ts";

/** Smallest number of pages scanned in a round, unless all waiting ones are. @see SHRINK_BATCH */
const SHRINK_BATCH = 128;

/**
 * The share of a reclaim round on a node: grows with the urgency, and is skipped as long as it is less than
 * SHRINK_BATCH and less than all.
 *
 * @param priority scan priority of the round, from 12 (least urgent) to 0
 * @see do_shrink_slab()
 */
export function* shrinkDeferredSplits(vm: Vm, node: NodeId, priority: number): Sleeps<void> {
  const waiting = queuedOn(vm, node).length;
  const share = (waiting >> priority) * 2;
  if (waiting > 0 && (share >= waiting || share >= SHRINK_BATCH)) yield* deferredSplitScan(vm, node, share);
}

/**
 * Splits queued huge pages of a node. Pages in use stay queued.
 *
 * @param most pages to try
 * @returns number of pages that were split
 * @see deferred_split_scan()
 */
export function* deferredSplitScan(vm: Vm, node: NodeId, most: number): Sleeps<number> {
  const { memmap } = vm;
  let split = 0;
  for (const head of queuedOn(vm, node).slice(0, most)) {
    yield condResched;
    // The page may have been freed meanwhile, and allocated again as a small page.
    if (!vm.deferredSplits.has(head) || !memmap.getPageUnlessZero(head)) continue;
    if (trylockPage(memmap, head)) {
      if (yield* splitHugePage(vm, head)) split++;
      unlockPage(memmap, head);
    }
    vm.pages.put(head);
  }
  return split;
}

function queuedOn({ deferredSplits, memmap }: Vm, node: NodeId): Page[] {
  return [...deferredSplits].filter((head) => memmap.nodeOf(head) === node);
}
