// Allocation of user pages under memory policies: the preferred node, the allowed nodes, and the NUMA counters.
// Kernel counterparts: vma_alloc_folio() and the functions next to it in mm/mempolicy.c. The zone allocator takes one
// node or all; a set of nodes is tried node by node here, each down to its low watermark before the next.
import { condResched, type NodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER_MOVABLE, NumaStat } from "@hetmem/zone";
import type { MmStruct } from "../mm-struct.ts";
import type { PageSource } from "../ports/swap.ts";
import type { Vm } from "../vm.ts";
import type { Vma } from "../vma/vma.ts";
import { type MemPolicy, policyNode, policyNodemask, policyOf } from "./mempolicy.ts";

const HPAGE_PMD_ORDER = 9;

/** The nodes for one allocation. */
interface Target {
  readonly policy: MemPolicy | undefined;
  readonly near: NodeId;
  /** The allowed nodes; undefined: all. */
  readonly nodemask: readonly NodeId[] | undefined;
}

/**
 * Allocates 2^order charged pages for an address, as its policy says, without sleeping.
 *
 * @param vma undefined for a page without a mapping
 * @param gfp Gfp bits
 * @returns NULL_PAGE when memory or the charge needs reclaim: see allocWithPolicy()
 * @see vma_alloc_folio()
 */
export function tryAllocWithPolicy(
  vm: Vm,
  vma: Vma | undefined,
  mm: MmStruct,
  address: number,
  gfp: number,
  order: number,
): Page {
  return tryAllocAt(vm, mm, targetOf(vm, vma, mm, address, gfp, order), gfp, order);
}

/**
 * tryAllocWithPolicy() with reclaim and the OOM killer. Every call is a preemption point, even if a page is free.
 *
 * @param vma undefined for a page without a mapping
 * @param gfp Gfp bits
 * @param order the allocation has 2^order pages
 * @returns NULL_PAGE when reclaim and the OOM killer didn't help
 * @see might_alloc() in include/linux/sched/mm.h
 */
export function* allocWithPolicy(
  vm: Vm,
  vma: Vma | undefined,
  mm: MmStruct,
  address: number,
  gfp: number,
  order: number,
): Sleeps<Page> {
  const target = targetOf(vm, vma, mm, address, gfp, order);
  yield condResched;
  const page = tryAllocAt(vm, mm, target, gfp, order);
  if (page !== NULL_PAGE) return page;
  return yield* vm.pages.alloc(gfp, order, target.near, mm, target.nodemask);
}

/**
 * tryAllocWithPolicy() without the charge, for a page that takes over another's charge or is charged later.
 *
 * @param gfp Gfp bits
 * @param order the allocation has 2^order pages
 * @returns NULL_PAGE when memory needs reclaim: see allocUncharged()
 * @see new_page()
 */
export function tryAllocUncharged(
  vma: Vma | undefined,
  mm: MmStruct,
  address: number,
  gfp: number,
  order: number,
): Page {
  return tryAllocAt(mm.vm, undefined, targetOf(mm.vm, vma, mm, address, gfp, order), gfp, order);
}

/**
 * tryAllocUncharged() with reclaim and the OOM killer. Yields first.
 *
 * @param gfp Gfp bits
 * @param order the allocation has 2^order pages
 * @returns NULL_PAGE when reclaim and the OOM killer didn't help
 */
export function* allocUncharged(
  vma: Vma | undefined,
  mm: MmStruct,
  address: number,
  gfp: number,
  order: number,
): Sleeps<Page> {
  const target = targetOf(mm.vm, vma, mm, address, gfp, order);
  yield condResched;
  const page = tryAllocAt(mm.vm, undefined, target, gfp, order);
  if (page !== NULL_PAGE) return page;
  return yield* mm.vm.pages.allocUncharged(gfp, order, target.near, mm, target.nodemask);
}

/** Allocates pages for an address under its policy. For swap-in, which charges them later. */
export function pageSourceAt(vma: Vma, address: number): PageSource {
  const { mm } = vma;
  return { mm, alloc: () => allocUncharged(vma, mm, address, GFP_HIGHUSER_MOVABLE, 0) };
}

/**
 * Allocates 2^order pages from a set of nodes, nearest first, without sleeping.
 *
 * @param nodemask undefined: all nodes
 * @see __alloc_pages() with a nodemask
 */
function tryAllocFromNodes(
  vm: Vm,
  nodemask: readonly NodeId[] | undefined,
  near: NodeId,
  gfp: number,
  order: number,
  mm: MmStruct | undefined,
): Page {
  if (nodemask === undefined) return vm.pages.tryAlloc(gfp, order, near, mm);
  for (const node of nodesByDistance(vm, near, nodemask)) {
    const page = vm.pages.tryAlloc(gfp | Gfp.THISNODE, order, node, mm);
    if (page !== NULL_PAGE) return page;
  }
  return NULL_PAGE as Page;
}

function targetOf(
  vm: Vm,
  vma: Vma | undefined,
  mm: MmStruct,
  address: number,
  gfp: number,
  order: number,
): Target {
  const policy = policyOf(mm, vma);
  return {
    policy,
    near: policyNode(mm, vma, address, 12 + order),
    nodemask: policyNodemask(vm.memory, policy, gfp),
  };
}

/** Allocates without sleeping. @param mm the address space that is charged; undefined for no charge */
function tryAllocAt(
  vm: Vm,
  mm: MmStruct | undefined,
  { policy, near, nodemask }: Target,
  gfp: number,
  order: number,
): Page {
  if (policy?.mode === "interleave") return allocInterleaved(vm, near, gfp, order, mm);
  if (policy?.mode === "preferred_many") {
    const page = tryAllocFromNodes(vm, policy.nodes, near, gfp & ~Gfp.DIRECT_RECLAIM, order, mm);
    if (page !== NULL_PAGE) return page;
  } else if (order === HPAGE_PMD_ORDER && (nodemask === undefined || nodemask.includes(near))) {
    // A remote huge page costs more than local small pages.
    const page = vm.pages.tryAlloc(gfp | Gfp.THISNODE | Gfp.NORETRY, order, near, mm);
    if (page !== NULL_PAGE || (gfp & Gfp.DIRECT_RECLAIM) === 0) return page;
  }
  return tryAllocFromNodes(vm, nodemask, near, gfp, order, mm);
}

/** Allocates from an interleaving node, and counts a hit. @see alloc_page_interleave() */
function allocInterleaved(vm: Vm, node: NodeId, gfp: number, order: number, mm: MmStruct | undefined): Page {
  const page = vm.pages.tryAlloc(gfp, order, node, mm);
  if (page !== NULL_PAGE && vm.memmap.nodeOf(page) === node) {
    const stat = vm.memory.allocator.zoneOf(page).numaStat;
    stat[NumaStat.numa_interleave] = (stat[NumaStat.numa_interleave] as number) + 1;
  }
  return page;
}

/** The nodes of a mask in the order of a node's fallback list. */
export function nodesByDistance({ memory }: Vm, near: NodeId, nodemask: readonly NodeId[]): NodeId[] {
  const order = new Set(memory.nodes[near]?.zonelists.fallback.map((zone) => zone.node));
  return [...order].filter((node) => nodemask.includes(node));
}
