// A request for pages that the allocator has refused, with the zones that may serve it. The slow path of the allocator
// works on it.
// Kernel counterpart: struct alloc_context in mm/internal.h, gfp_to_alloc_flags() in mm/page_alloc.c.
import type { NodeId, Page } from "@hetmem/kernel";
import type { MmStruct, Process, Vm } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, gfpZone, type Zone, type ZoneType } from "@hetmem/zone";
import { isAboveMark, type Mark, reclaimablePages } from "./node-watermarks.ts";

export interface AllocRequest {
  readonly gfp: number;
  readonly order: number;
  readonly near: NodeId;
  /** Nodes that may serve the request; undefined: all. */
  readonly nodemask: readonly NodeId[] | undefined;
  /** Address space that the pages are for, and its process; undefined for the kernel itself. */
  readonly mm: MmStruct | undefined;
  readonly current: Process | undefined;
  /** Highest zone that may serve the request. */
  readonly highest: ZoneType;
  /** Zones that may serve the request, in the order in which they are tried. */
  readonly zones: readonly Zone[];
}

/**
 * Makes a request.
 *
 * @param order log2 of the number of pages
 * @param near preferred node
 * @param mm address space that the pages are for; undefined: the kernel itself
 * @param nodemask nodes that may be used; undefined: all
 */
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

/** Nodes that may serve a request, nearest first. */
export function nodesOf({ zones }: AllocRequest): NodeId[] {
  return [...new Set(zones.map((zone) => zone.node))];
}

/** Whether any zone of the request is above a watermark. */
export function anyAbove({ zones, order, highest }: AllocRequest, mark: Mark): boolean {
  return zones.some((zone) => isAboveMark(zone, order, mark, highest, zone.freePages));
}

/** Whether reclaiming everything reclaimable would put any zone above its min watermark. @see should_reclaim_retry() */
export function couldBeServed(vm: Vm, { zones, order, highest }: AllocRequest): boolean {
  const withAnon = vm.swap.freePages > 0;
  return zones.some((zone) =>
    isAboveMark(zone, order, "min", highest, zone.freePages + reclaimablePages(zone, withAnon)),
  );
}

/**
 * Tries the allocator once.
 *
 * @param reserves Gfp bits to add, which open its reserves
 * @returns NULL_PAGE if the allocator refuses
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
