// The allocation of a page of a process where its policy wants it: the node to begin with, the nodes that it must not
// leave, and what is counted. Kernel counterpart: vma_alloc_folio() and its kin in mm/mempolicy.c. The zone allocator
// knows one node or all; a set of nodes is tried node by node here, each down to its low reserves before the next.
import { condResched, type NodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER_MOVABLE, NumaStat } from "@hetmem/zone";
import type { MmStruct } from "../mm-struct.ts";
import type { PageSource } from "../ports/swap.ts";
import type { Vm } from "../vm.ts";
import type { Vma } from "../vma/vma.ts";
import { type MemPolicy, policyNode, policyNodemask, policyOf } from "./mempolicy.ts";

const HPAGE_PMD_ORDER = 9;

/** Where one allocation may go. */
interface Target {
  readonly policy: MemPolicy | undefined;
  readonly near: NodeId;
  /** The only nodes for it; undefined: all. */
  readonly nodemask: readonly NodeId[] | undefined;
}

/**
 * 2^order pages for an address where the policy wants them, if that works without waiting.
 *
 * @param vma undefined where no mapping asks
 * @returns NULL_PAGE when memory or the charge has to be waited for: see allocWithPolicy()
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

/** The same, with reclaim and the OOM killer. Others may run first. @returns NULL_PAGE when all of that has not helped @see might_alloc() in include/linux/sched/mm.h */
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

/** The same for a page that takes over another's charge, or that is charged later. @see new_page() */
export function tryAllocUncharged(
  vma: Vma | undefined,
  mm: MmStruct,
  address: number,
  gfp: number,
  order: number,
): Page {
  return tryAllocAt(mm.vm, undefined, targetOf(mm.vm, vma, mm, address, gfp, order), gfp, order);
}

/** The same, with reclaim. Others may run first. */
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

/** Where a mapping wants the page of an address, for whoever finds out later who pays for it. */
export function pageSourceAt(vma: Vma, address: number): PageSource {
  const { mm } = vma;
  return { mm, alloc: () => allocUncharged(vma, mm, address, GFP_HIGHUSER_MOVABLE, 0) };
}

/**
 * 2^order pages from any of some nodes, the nearest first, if that works without waiting.
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

/** @param mm who is charged; undefined: nobody */
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
    // A huge page far away costs more than small pages here.
    const page = vm.pages.tryAlloc(gfp | Gfp.THISNODE | Gfp.NORETRY, order, near, mm);
    if (page !== NULL_PAGE || (gfp & Gfp.DIRECT_RECLAIM) === 0) return page;
  }
  return tryAllocFromNodes(vm, nodemask, near, gfp, order, mm);
}

/** @see alloc_page_interleave() */
function allocInterleaved(vm: Vm, node: NodeId, gfp: number, order: number, mm: MmStruct | undefined): Page {
  const page = vm.pages.tryAlloc(gfp, order, node, mm);
  if (page !== NULL_PAGE && vm.memmap.nodeOf(page) === node) {
    const stat = vm.memory.allocator.zoneOf(page).numaStat;
    stat[NumaStat.numa_interleave] = (stat[NumaStat.numa_interleave] as number) + 1;
  }
  return page;
}

/** Those of some nodes that a node can turn to, in the order in which it does. */
export function nodesByDistance({ memory }: Vm, near: NodeId, nodemask: readonly NodeId[]): NodeId[] {
  const order = new Set(memory.nodes[near]?.zonelists.fallback.map((zone) => zone.node));
  return [...order].filter((node) => nodemask.includes(node));
}
