// Where memory should come from: the policies of set_mempolicy() and mbind(). A policy is a value that never changes, so
// that mappings, processes and their children share one. A mapping's own policy goes before its process's; where neither
// has one, pages come from near the cpu. Kernel counterpart: mm/mempolicy.c. Not modelled: cpusets, so that every node
// with memory is allowed and policies never have to be bound anew.
import { formatIdList, KernelError, MAX_NUMNODES, type NodeId } from "@hetmem/kernel";
import { gfpZone, type Memory, type MemoryNode, ZoneType } from "@hetmem/zone";
import type { MmStruct } from "../mm-struct.ts";
import type { Vma } from "../vma/vma.ts";

/** @see MPOL_PREFERRED in include/uapi/linux/mempolicy.h */
export type MpolMode = "preferred" | "preferred_many" | "bind" | "interleave" | "local";

/** How the nodes of a request are meant. @see MPOL_F_STATIC_NODES */
export const MpolFlag = {
  STATIC_NODES: 1 << 15,
  /** The n-th of the nodes that have memory. */
  RELATIVE_NODES: 1 << 14,
  /** Pages move to whichever of the bound nodes uses them. */
  NUMA_BALANCING: 1 << 13,
} as const;
/** Flags with which a policy remembers the nodes as they were asked for. */
const REMEMBERED: number = MpolFlag.STATIC_NODES | MpolFlag.RELATIVE_NODES | MpolFlag.NUMA_BALANCING;

export interface MemPolicy {
  readonly mode: MpolMode;
  /** MpolFlag bits. */
  readonly flags: number;
  /** Ascending; empty for a local policy. */
  readonly nodes: readonly NodeId[];
  /** As they were asked for. */
  readonly userNodes: readonly NodeId[];
  /** Of the allowed nodes, where to look first. @see set_mempolicy_home_node() */
  readonly homeNode: NodeId | undefined;
}

/** What set_mempolicy() and mbind() are asked. */
export interface MempolicyRequest {
  readonly mode: MpolMode | "default";
  /** MpolFlag bits; none when absent. */
  readonly flags?: number;
  readonly nodes?: readonly NodeId[];
}

/**
 * Makes a policy of a request. Nodes without memory drop out of it.
 *
 * @returns undefined for the default policy
 * @throws KernelError EINVAL for flags or nodes that don't go with the mode, and when no node with memory is left
 * @see mpol_new(), mpol_set_nodemask(), sanitize_mpol_flags()
 */
export function mpolNew(memory: Memory, request: MempolicyRequest): MemPolicy | undefined {
  const { flags = 0 } = request;
  const asked = [...new Set(request.nodes ?? [])].sort((a, b) => a - b);
  checkRequest(request.mode, flags, asked);
  if (request.mode === "default") return undefined;
  if (request.mode === "local" || (request.mode === "preferred" && asked.length === 0))
    return { mode: "local", flags, nodes: [], userNodes: [], homeNode: undefined };
  const allowed = nodesWithMemory(memory);
  const nodes =
    (flags & MpolFlag.RELATIVE_NODES) !== 0
      ? relativeNodes(asked, allowed)
      : asked.filter((node) => allowed.includes(node));
  if (nodes.length === 0)
    throw invalid(`none of the nodes ${formatIdList(asked)} has memory: ${formatIdList(allowed)} have`);
  const kept = request.mode === "preferred" ? nodes.slice(0, 1) : nodes;
  return { mode: request.mode, flags, nodes: kept, userNodes: asked, homeNode: undefined };
}

/** Whether two policies are the same, so that mappings with them can be one. @see mpol_equal() */
export function mpolEqual(one: MemPolicy | undefined, other: MemPolicy | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return (
    one.mode === other.mode &&
    one.flags === other.flags &&
    one.homeNode === other.homeNode &&
    ((one.flags & REMEMBERED) === 0 || sameNodes(one.userNodes, other.userNodes)) &&
    sameNodes(one.nodes, other.nodes)
  );
}

/** As /proc/PID/numa_maps prints it: `default`, `bind:0-1`, `interleave=static:0,2`. @see mpol_to_str() */
export function mpolToString(policy: MemPolicy | undefined): string {
  if (policy === undefined) return "default";
  const names: string[] = [];
  if ((policy.flags & MpolFlag.STATIC_NODES) !== 0) names.push("static");
  else if ((policy.flags & MpolFlag.RELATIVE_NODES) !== 0) names.push("relative");
  if ((policy.flags & MpolFlag.NUMA_BALANCING) !== 0) names.push("balancing");
  const flags = names.length > 0 ? `=${names.join("|")}` : "";
  const nodes = policy.nodes.length > 0 ? `:${formatIdList(policy.nodes)}` : "";
  return `${MODE_NAMES[policy.mode]}${flags}${nodes}`;
}

/** The policy that counts at an address: the mapping's, else the task's; undefined: near the cpu. @see get_vma_policy() */
export function policyOf(mm: MmStruct | undefined, vma: Vma | undefined): MemPolicy | undefined {
  return vma?.policy ?? mm?.policy;
}

/**
 * The node that a user allocation goes to first.
 *
 * @param vma undefined for a page that no mapping asks for, as of a file that is read: a task that interleaves takes the
 *   next node then
 * @param pageShift log2 of the bytes of the page that is wanted
 * @see policy_node(), interleave_nid()
 */
export function policyNode(mm: MmStruct, vma: Vma | undefined, address: number, pageShift = 12): NodeId {
  const policy = policyOf(mm, vma);
  if (policy === undefined) return mm.node;
  switch (policy.mode) {
    case "preferred":
      return policy.nodes[0] ?? mm.node;
    case "interleave":
      return vma === undefined ? interleaveNext(mm, policy) : interleaveAt(policy, vma, address, pageShift);
    default:
      return policy.homeNode ?? mm.node;
  }
}

/**
 * The only nodes that an allocation may come from under a policy; undefined: all of them. Requests for a zone below the
 * policy zone are left alone.
 *
 * @see policy_nodemask(), apply_policy_zone()
 */
export function policyNodemask(
  memory: Memory,
  policy: MemPolicy | undefined,
  gfp: number,
): readonly NodeId[] | undefined {
  if (policy?.mode !== "bind") return undefined;
  const normal = policy.nodes.some((node) => hasNormalMemory(memory.nodes[node]));
  return gfpZone(gfp) >= (normal ? memory.counters.policyZone : ZoneType.Movable) ? policy.nodes : undefined;
}

/** The node of a page of a mapping that is interleaved: by where it is in what is mapped. @see offset_il_node() */
export function interleaveAt(policy: MemPolicy, vma: Vma, address: number, pageShift: number): NodeId {
  const pages = 2 ** (pageShift - 12);
  const offset = Math.floor(vma.pgoff / pages) + Math.floor((address - vma.start) / (4096 * pages));
  return policy.nodes[offset % policy.nodes.length] as NodeId;
}

/** The node after the one that the task took last. @see interleave_nodes() */
export function interleaveNext(mm: MmStruct, policy: MemPolicy): NodeId {
  const next = nodeAfter(policy, mm.interleavePrev);
  mm.interleavePrev = next;
  return next;
}

/** The node of a policy that follows another, round. @see next_node_in() */
export function nodeAfter({ nodes }: MemPolicy, previous: number): NodeId {
  return nodes.find((node) => node > previous) ?? (nodes[0] as NodeId);
}

/** @see node_states[N_MEMORY] */
export function nodesWithMemory({ nodes }: Memory): NodeId[] {
  return nodes.flatMap((node) => (node !== undefined && node.presentPages > 0 ? [node.id] : []));
}

const MODE_NAMES: Readonly<Record<MpolMode, string>> = {
  preferred: "prefer",
  preferred_many: "prefer (many)",
  bind: "bind",
  interleave: "interleave",
  local: "local",
};

/** What is wrong with a request whatever the machine is. */
function checkRequest(mode: MempolicyRequest["mode"], flags: number, nodes: readonly NodeId[]): void {
  const placed = MpolFlag.STATIC_NODES | MpolFlag.RELATIVE_NODES;
  if ((flags & ~REMEMBERED) !== 0) throw invalid(`0x${flags.toString(16)} is no set of mode flags`);
  if ((flags & placed) === placed)
    throw invalid("nodes are either static or relative: drop one of the flags");
  if ((flags & MpolFlag.NUMA_BALANCING) !== 0 && mode !== "bind")
    throw invalid(`a policy of mode ${mode} isn't balanced: only one that binds is`);
  const beyond = nodes.find((node) => node < 0 || node >= MAX_NUMNODES);
  if (beyond !== undefined)
    throw invalid(`node ${beyond} can't exist: node numbers end at ${MAX_NUMNODES - 1}`);
  if ((mode === "default" || mode === "local") && nodes.length > 0)
    throw invalid(`mode ${mode} takes no nodes: leave out ${formatIdList(nodes)}`);
  const optional = mode === "default" || mode === "local" || (mode === "preferred" && (flags & placed) === 0);
  if (!optional && nodes.length === 0) throw invalid(`mode ${mode} needs a node`);
  if (mode === "local" && (flags & placed) !== 0)
    throw invalid("a local policy has no nodes that could be static or relative");
}

/** Node n of the request is the n-th of those with memory, round. @see mpol_relative_nodemask() */
function relativeNodes(asked: readonly NodeId[], allowed: readonly NodeId[]): NodeId[] {
  const picked = new Set(asked.map((node) => node % allowed.length));
  return allowed.filter((_, n) => picked.has(n));
}

/** Whether it has memory that isn't movable. @see N_NORMAL_MEMORY */
function hasNormalMemory(node: MemoryNode | undefined): boolean {
  return node?.zones.some((zone) => zone.type <= ZoneType.Normal && zone.populated) ?? false;
}

function sameNodes(some: readonly NodeId[], others: readonly NodeId[]): boolean {
  return some.length === others.length && some.every((node, i) => node === others[i]);
}

function invalid(reason: string): KernelError {
  return new KernelError("EINVAL", reason);
}
