// The slow path of the allocator: wakes kswapd, reclaims directly, and at last lets the OOM killer kill a process. The
// Gfp bits of a request limit how far it goes. Kernel counterpart: __alloc_pages_slowpath() in mm/page_alloc.c. Not
// modelled: compaction.
import { condResched, type Page, type Preempt, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { MAX_RECLAIM_RETRIES } from "@hetmem/mm/ports";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, PAGE_ALLOC_COSTLY_ORDER, ZoneType } from "@hetmem/zone";
import { type AllocRequest, anyAbove, askAllocator, couldBeServed, nodesOf } from "./alloc-request.ts";
import { tryToFreePages } from "./direct-reclaim.ts";
import { logAllocationFailure } from "./oom/oom-log.ts";
import { globalOom, outOfMemory, policyOom } from "./oom/oom.ts";
import type { ReclaimState } from "./reclaim-state.ts";

const NONE = NULL_PAGE as Page;

/**
 * Allocates 2^order pages that the allocator has refused.
 *
 * @returns NULL_PAGE if reclaim and the OOM killer free too little, or the request's Gfp bits forbid them
 * @see __alloc_pages_slowpath()
 */
export function* allocSlowly(state: ReclaimState, request: AllocRequest): Sleeps<Page> {
  const { vm } = state;
  const { gfp, order } = request;
  // A zone is above its watermark, and the allocator refused: an injected failure.
  if (request.nodemask === undefined && anyAbove(request, "low")) return NONE;
  let noProgress = 0;
  // Ends: each turn frees memory, counts against MAX_RECLAIM_RETRIES, or kills a process, and the number of processes
  // is finite.
  for (;;) {
    wakeAllKswapds(state, request);
    const page = askAllocator(vm, request, reservesFor(state, request));
    if (page !== NULL_PAGE) return page;
    if (anyAbove(request, "low")) return NONE;
    if ((gfp & Gfp.DIRECT_RECLAIM) === 0 || state.isReclaiming) break;
    const reclaimed = yield* directReclaim(state, request);
    if (reclaimed.page !== NULL_PAGE) return reclaimed.page;
    if ((gfp & Gfp.NORETRY) !== 0 || order > PAGE_ALLOC_COSTLY_ORDER) break;
    noProgress = reclaimed.pages > 0 ? 0 : noProgress + 1;
    yield condResched;
    if (noProgress <= MAX_RECLAIM_RETRIES && couldBeServed(vm, request)) continue;
    const killed = yield* mayOom(state, request);
    if (killed.page !== NULL_PAGE) return killed.page;
    // A victim of the OOM killer has tried its reserves already.
    if (!killed.progress || isVictim(request)) break;
    noProgress = 0;
  }
  if ((gfp & Gfp.NOFAIL) !== 0) return yield* allocNofail(vm, request);
  if ((gfp & Gfp.NOWARN) === 0) logAllocationFailure(vm, request);
  return NONE;
}

/** Wakes the kswapd of each node of the request. @see wake_all_kswapds() */
function wakeAllKswapds(state: ReclaimState, request: AllocRequest): void {
  if ((request.gfp & Gfp.KSWAPD_RECLAIM) === 0) return;
  for (const node of nodesOf(request)) state.node(node).ask(request.order, request.highest);
}

/**
 * Gfp bits for reserves: a task that reclaims, or a victim of the OOM killer, may use pages that others may not.
 *
 * @see __gfp_pfmemalloc_flags()
 */
function reservesFor(state: ReclaimState, request: AllocRequest): number {
  if ((request.gfp & Gfp.NOMEMALLOC) !== 0) return 0;
  if (state.isReclaiming) return Gfp.MEMALLOC;
  return isVictim(request) ? Gfp.HIGH : 0;
}

function isVictim({ mm }: AllocRequest): boolean {
  return mm !== undefined && mm.oom !== "none";
}

/** Reclaims, and tries the allocator again. @see __alloc_pages_direct_reclaim() */
function* directReclaim(state: ReclaimState, request: AllocRequest): Sleeps<{ page: Page; pages: number }> {
  const { gfp, highest } = request;
  const { groups } = state.vm.charging;
  const reclaim = state.asReclaimer(tryToFreePages(state, nodesOf(request), gfp, highest));
  const pages = yield* groups === undefined ? reclaim : groups.directReclaim(request, reclaim);
  return { page: pages > 0 ? askAfterFreeing(state, request) : NONE, pages };
}

/**
 * Tries the allocator. Freed pages may be on per-CPU lists, which watermarks don't count: these are drained before a
 * second attempt.
 */
function askAfterFreeing(state: ReclaimState, request: AllocRequest): Page {
  const { vm } = state;
  const page = askAllocator(vm, request, reservesFor(state, request));
  if (page !== NULL_PAGE) return page;
  for (const zone of request.zones) vm.memory.allocator.drainPcp(zone);
  return askAllocator(vm, request, reservesFor(state, request));
}

/** Lets the OOM killer kill a process, unless another task does so just now. @see __alloc_pages_may_oom() */
function* mayOom(state: ReclaimState, request: AllocRequest): Sleeps<{ page: Page; progress: boolean }> {
  const { vm, oomLock: lock } = state;
  if (!lock.tryLock()) {
    // Another task holds the lock, and frees memory for all.
    yield condResched;
    return { page: NONE, progress: true };
  }
  try {
    for (const zone of request.zones) vm.memory.allocator.drainPcp(zone);
    // A process may have exited meanwhile.
    const page = anyAbove(request, "high") ? askAllocator(vm, request, 0) : NONE;
    if (page !== NULL_PAGE || !mayKillFor(request)) return { page, progress: false };
    const { current, gfp, order, nodemask } = request;
    const control =
      nodemask === undefined
        ? globalOom(vm, current, gfp, order)
        : policyOom(vm, current, gfp, order, nodemask);
    const progress = yield* outOfMemory(vm, control);
    return { page: progress ? askAfterFreeing(state, request) : NONE, progress };
  } finally {
    lock.unlock();
  }
}

/**
 * Whether the request justifies killing a process: not for large blocks, low zones or a single node, nor if the caller
 * can do without (RETRY_MAYFAIL).
 */
function mayKillFor({ gfp, order, highest }: AllocRequest): boolean {
  if (order > PAGE_ALLOC_COSTLY_ORDER || highest < ZoneType.Normal) return false;
  return (gfp & (Gfp.RETRY_MAYFAIL | Gfp.THISNODE)) === 0;
}

/** Serves a request that must not fail: from all reserves, and by waiting when those are empty. @see __GFP_NOFAIL */
function* allocNofail(vm: Vm, request: AllocRequest): Sleeps<Page> {
  const wait: Preempt = { why: "memory that must not fail", ready: () => anyAbove(request, "min") };
  // Ends: when memory is freed; if no task frees any, run() reports the wait as a bug.
  for (;;) {
    const page = askAllocator(vm, request, Gfp.MEMALLOC);
    if (page !== NULL_PAGE) return page;
    yield wait;
  }
}
