// A request for pages that the allocator has refused, and what it may still be given. Kernel counterpart: struct
// alloc_context in mm/internal.h, gfp_to_alloc_flags() in mm/page_alloc.c.
import type { NodeId, Page } from "@hetmem/kernel";
import type { MmStruct, Process, Vm } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, gfpZone, type Zone, type ZoneType } from "@hetmem/zone";
import { isAboveMark, type Mark, reclaimablePages } from "./node-watermarks.ts";

export interface AllocRequest {
  readonly gfp: number;
  readonly order: number;
  readonly near: NodeId;
  /** The only nodes for it; undefined: all. */
  readonly nodemask: readonly NodeId[] | undefined;
  /** Whose memory it is for, and the process, as far as that is known. */
  readonly mm: MmStruct | undefined;
  readonly current: Process | undefined;
  /** The highest zone that may serve it. */
  readonly highest: ZoneType;
  /** The zones that may, in the order in which they are tried. */
  readonly zones: readonly Zone[];
}

export function allocRequest(
  vm: Vm,
  gfp: number,
  order: number,
  near: NodeId,
  mm: MmStruct | undefined,
  nodemask: readonly NodeId[] | undefined,
): AllocRequest {
  const zonelists = vm.memory.nodes[near]?.zonelists;
  const all = (gfp & Gfp.THISNODE) !== 0 ? zonelists?.thisNode : zonelists?.fallback;
  const highest = gfpZone(gfp);
  const zones = (all ?? []).filter(
    ({ type, managedPages, node }) =>
      type <= highest && managedPages > 0 && (nodemask === undefined || nodemask.includes(node)),
  );
  const [current] = mm ? vm.processes.of(mm) : [];
  return { gfp, order, near, nodemask, mm, current, highest, zones };
}

/** The nodes that may serve a request, the nearest first. */
export function nodesOf({ zones }: AllocRequest): NodeId[] {
  return [...new Set(zones.map((zone) => zone.node))];
}

/** Whether a zone that may serve the request is above a mark. */
export function anyAbove({ zones, order, highest }: AllocRequest, mark: Mark): boolean {
  return zones.some((zone) => isAboveMark(zone, order, mark, highest, zone.freePages));
}

/** Whether the request could be served if everything were reclaimed that can be. @see should_reclaim_retry() */
export function couldBeServed(vm: Vm, { zones, order, highest }: AllocRequest): boolean {
  const withAnon = vm.swap.freePages > 0;
  return zones.some((zone) =>
    isAboveMark(zone, order, "min", highest, zone.freePages + reclaimablePages(zone, withAnon)),
  );
}

/**
 * Asks the allocator, with Gfp bits that open its reserves.
 *
 * @returns NULL_PAGE when it has nothing
 * @see get_page_from_freelist()
 */
export function askAllocator(vm: Vm, request: AllocRequest, reserves: number): Page {
  const { order, near, nodemask } = request;
  const { allocator } = vm.memory;
  const gfp = request.gfp | reserves;
  if (nodemask === undefined) return allocator.allocPages(gfp, order, near);
  for (const node of nodesOf(request)) {
    const page = allocator.allocPages(gfp | Gfp.THISNODE, order, node);
    if (page !== NULL_PAGE) return page;
  }
  return NULL_PAGE as Page;
}
