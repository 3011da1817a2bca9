// Memory policies of set_mempolicy() and mbind(): the nodes that pages are allocated from. A policy is an immutable
// value, shared by mappings, processes and their children. The policy of a mapping takes precedence over that of the
// process. Without either, pages come from the node of the CPU. Kernel counterpart: mm/mempolicy.c. Not modelled:
// cpusets, so every node with memory is allowed and policies are never rebound.
import { formatIdList, KernelError, MAX_NUMNODES, type NodeId } from "@hetmem/kernel";
import { gfpZone, type Memory, type MemoryNode, ZoneType } from "@hetmem/zone";
import type { MmStruct } from "../mm-struct.ts";
import type { Vma } from "../vma/vma.ts";

/** The modes. "default" is the absence of a policy. @see MPOL_PREFERRED in include/uapi/linux/mempolicy.h */
export type MpolMode = "preferred" | "preferred_many" | "bind" | "interleave" | "local";

/** Mode flags: the meaning of the nodes in a request. @see MPOL_F_STATIC_NODES */
export const MpolFlag = {
  STATIC_NODES: 1 << 15,
  /** Node n of the request means the n-th of the nodes with memory. */
  RELATIVE_NODES: 1 << 14,
  /** Pages migrate between the bound nodes to the one that uses them. */
  NUMA_BALANCING: 1 << 13,
} as const;
/** All mode flags. A policy with one of them keeps the requested nodes. @see MPOL_MODE_FLAGS */
const MPOL_MODE_FLAGS: number = MpolFlag.STATIC_NODES | MpolFlag.RELATIVE_NODES | MpolFlag.NUMA_BALANCING;

export interface MemPolicy {
  readonly mode: MpolMode;
  /** MpolFlag bits. */
  readonly flags: number;
  /** Node ids, ascending; empty for a local policy. */
  readonly nodes: readonly NodeId[];
  /** Node ids as requested. */
  readonly userNodes: readonly NodeId[];
  /** The allowed node that allocations start from. @see set_mempolicy_home_node() */
  readonly homeNode: NodeId | undefined;
}

/** Arguments of set_mempolicy() and mbind(). */
export interface MempolicyRequest {
  readonly mode: MpolMode | "default";
  /** MpolFlag bits; none when absent. */
  readonly flags?: number;
  readonly nodes?: readonly NodeId[];
}

/**
 * Makes the policy of a request. Nodes without memory are left out.
 *
 * @returns undefined for the default policy
 * @throws KernelError EINVAL for flags or nodes that don't fit the mode, and when no requested node has memory
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

/** Whether two policies are equal, so that mappings with them can merge. @see mpol_equal() */
export function mpolEqual(one: MemPolicy | undefined, other: MemPolicy | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return (
    one.mode === other.mode &&
    one.flags === other.flags &&
    one.homeNode === other.homeNode &&
    ((one.flags & MPOL_MODE_FLAGS) === 0 || sameNodes(one.userNodes, other.userNodes)) &&
    sameNodes(one.nodes, other.nodes)
  );
}

/** Text of a policy in /proc/PID/numa_maps: `default`, `bind:0-1`, `interleave=static:0,2`. @see mpol_to_str() */
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

/** The policy of an address: that of the mapping, else that of the task; undefined for none. @see get_vma_policy() */
export function policyOf(mm: MmStruct | undefined, vma: Vma | undefined): MemPolicy | undefined {
  return vma?.policy ?? mm?.policy;
}

/**
 * The node at which a user allocation starts.
 *
 * @param vma undefined for a page without a mapping, such as one of a file that is read; a task that interleaves then
 *   takes its next node
 * @param address address of the page
 * @param pageShift base-2 logarithm of the page size in bytes
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
 * The only nodes that a policy allows for an allocation; undefined when all are allowed. Requests for a zone below
 * the policy zone are not restricted.
 *
 * @param gfp Gfp bits of the allocation
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

/** The node of a page in an interleaved mapping, by its offset in the mapped object. @see offset_il_node() */
function interleaveAt(policy: MemPolicy, vma: Vma, address: number, pageShift: number): NodeId {
  const pages = 2 ** (pageShift - 12);
  const offset = Math.floor(vma.pgoff / pages) + Math.floor((address - vma.start) / (4096 * pages));
  return policy.nodes[offset % policy.nodes.length] as NodeId;
}

/** The next node of a task that interleaves. @see interleave_nodes() */
function interleaveNext(mm: MmStruct, policy: MemPolicy): NodeId {
  const next = nodeAfter(policy, mm.interleavePrev);
  mm.interleavePrev = next;
  return next;
}

/**
 * The node of a policy that follows another in cyclic order.
 *
 * @param previous node id; -1 for the first node of the policy
 * @see next_node_in()
 */
export function nodeAfter({ nodes }: MemPolicy, previous: number): NodeId {
  return nodes.find((node) => node > previous) ?? (nodes[0] as NodeId);
}

/** Ids of the nodes with memory. @see node_states[N_MEMORY] */
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

/** Checks that don't depend on the machine. @throws KernelError EINVAL */
function checkRequest(mode: MempolicyRequest["mode"], flags: number, nodes: readonly NodeId[]): void {
  const placed = MpolFlag.STATIC_NODES | MpolFlag.RELATIVE_NODES;
  if ((flags & ~MPOL_MODE_FLAGS) !== 0) throw invalid(`0x${flags.toString(16)} is no set of mode flags`);
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

/** Maps node n of the request to the n-th node with memory, modulo their number. @see mpol_relative_nodemask() */
function relativeNodes(asked: readonly NodeId[], allowed: readonly NodeId[]): NodeId[] {
  const picked = new Set(asked.map((node) => node % allowed.length));
  return allowed.filter((_, n) => picked.has(n));
}

/** Whether a node has memory outside of ZONE_MOVABLE. @see N_NORMAL_MEMORY */
function hasNormalMemory(node: MemoryNode | undefined): boolean {
  return node?.zones.some((zone) => zone.type <= ZoneType.Normal && zone.populated) ?? false;
}

function sameNodes(some: readonly NodeId[], others: readonly NodeId[]): boolean {
  return some.length === others.length && some.every((node, i) => node === others[i]);
}

function invalid(reason: string): KernelError {
  return new KernelError("EINVAL", reason);
}
