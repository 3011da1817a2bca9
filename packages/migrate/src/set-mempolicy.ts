// set_mempolicy(2) and get_mempolicy(2): the memory policy of a process, which applies to mappings without a policy of
// their own, and questions about policies and pages. Kernel counterpart: do_set_mempolicy() and do_get_mempolicy() in
// mm/mempolicy.c.
import { KernelError, type NodeId, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import { grabUserPages } from "@hetmem/mm/faultin";
import {
  type MemPolicy,
  type MempolicyRequest,
  MpolFlag,
  mpolNew,
  nodeAfter,
  nodesWithMemory,
} from "@hetmem/mm/policy";

/** Start value of interleaving: the next node is the first. @see il_prev */
const NO_NODE_YET = -1;
/** Flags of policies that report the nodes of the request instead of those in effect. */
const REPORTS_USER_NODES: number = MpolFlag.STATIC_NODES | MpolFlag.RELATIVE_NODES | MpolFlag.NUMA_BALANCING;

/**
 * Sets the policy of a process, for all mappings without one of their own. Pages that are allocated already stay.
 *
 * @throws KernelError EINVAL as mpolNew()
 * @see set_mempolicy(2)
 */
export function setMempolicy(mm: MmStruct, request: MempolicyRequest): void {
  mm.policy = mpolNew(mm.vm.memory, request);
  if (mm.policy?.mode === "interleave") mm.interleavePrev = NO_NODE_YET;
}

/** The policy of a process. @see get_mempolicy(2) without flags */
export function getMempolicy(mm: MmStruct): Required<MempolicyRequest> {
  return requestOf(mm.policy);
}

/**
 * The policy of the mapping at an address; the default one if the mapping has none, whatever the policy of the process.
 *
 * @throws KernelError EFAULT if nothing is mapped there
 * @see get_mempolicy(2) with MPOL_F_ADDR
 */
export function* getMempolicyAt(mm: MmStruct, address: VirtAddr): Sleeps<Required<MempolicyRequest>> {
  yield* mm.mmapLock.downRead();
  const vma = mm.vmas.at(address);
  mm.mmapLock.upRead();
  if (!vma) throw nothingMapped(address);
  return requestOf(vma.policy);
}

/**
 * The node of the next interleaved allocation of a process.
 *
 * @throws KernelError EINVAL if the policy of the process isn't interleave
 * @see get_mempolicy(2) with MPOL_F_NODE
 */
export function getMempolicyNode({ policy, interleavePrev }: MmStruct): NodeId {
  if (policy?.mode !== "interleave")
    throw new KernelError("EINVAL", "only a process that interleaves has a next node");
  return nodeAfter(policy, interleavePrev);
}

/**
 * The node of the page at an address, which is faulted in.
 *
 * @throws KernelError EFAULT if the address can't be read
 * @see get_mempolicy(2) with MPOL_F_NODE | MPOL_F_ADDR, lookup_node()
 */
export function* getMempolicyNodeAt(mm: MmStruct, address: VirtAddr): Sleeps<NodeId> {
  const { memmap } = mm.vm;
  const start = (address - (address % 4096)) as VirtAddr;
  yield* mm.mmapLock.downRead();
  try {
    const [page] = yield* grabUserPages(mm, start, 1, 0);
    if (page === undefined) throw nothingMapped(address);
    const node = memmap.nodeOf(page);
    memmap.putPage(memmap.compoundHead(page));
    return node;
  } finally {
    mm.mmapLock.upRead();
  }
}

/** Nodes on which the process may allocate: without cpusets, all nodes with memory. @see MPOL_F_MEMS_ALLOWED */
export function memsAllowed(mm: MmStruct): NodeId[] {
  return nodesWithMemory(mm.vm.memory);
}

function requestOf(policy: MemPolicy | undefined): Required<MempolicyRequest> {
  if (policy === undefined) return { mode: "default", flags: 0, nodes: [] };
  const { mode, flags, nodes, userNodes } = policy;
  return { mode, flags, nodes: (flags & REPORTS_USER_NODES) !== 0 ? userNodes : nodes };
}

function nothingMapped(address: VirtAddr): KernelError {
  return new KernelError("EFAULT", `nothing is mapped at 0x${address.toString(16)}`);
}
