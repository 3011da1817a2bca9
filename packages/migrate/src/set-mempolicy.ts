// The system calls by which a task sets its own policy, and asks which one counts. Kernel counterpart: do_set_mempolicy()
// and do_get_mempolicy() in mm/mempolicy.c.
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

/** Before the first node, so that interleaving starts with the first. @see il_prev */
const NO_NODE_YET = -1;
const REMEMBERED: number = MpolFlag.STATIC_NODES | MpolFlag.RELATIVE_NODES | MpolFlag.NUMA_BALANCING;

/**
 * Sets the policy of a process for all of its mappings that have none of their own. What is there already stays there.
 *
 * @throws KernelError EINVAL as mpolNew() does
 * @see set_mempolicy(2)
 */
export function setMempolicy(mm: MmStruct, request: MempolicyRequest): void {
  mm.policy = mpolNew(mm.vm.memory, request);
  if (mm.policy?.mode === "interleave") mm.interleavePrev = NO_NODE_YET;
}

/** The policy of the process, as get_mempolicy(2) without flags tells it. */
export function getMempolicy(mm: MmStruct): Required<MempolicyRequest> {
  return told(mm.policy);
}

/**
 * The policy of the mapping at an address; that of the process doesn't count.
 *
 * @throws KernelError EFAULT where nothing is mapped
 * @see get_mempolicy(2) with MPOL_F_ADDR
 */
export function* getMempolicyAt(mm: MmStruct, address: VirtAddr): Sleeps<Required<MempolicyRequest>> {
  yield* mm.mmapLock.downRead();
  const vma = mm.vmas.at(address);
  mm.mmapLock.upRead();
  if (!vma) throw nothingMapped(address);
  return told(vma.policy);
}

/**
 * The node that the process will take next.
 *
 * @throws KernelError EINVAL for a process that doesn't interleave
 * @see get_mempolicy(2) with MPOL_F_NODE
 */
export function getMempolicyNode({ policy, interleavePrev }: MmStruct): NodeId {
  if (policy?.mode !== "interleave")
    throw new KernelError("EINVAL", "only a process that interleaves has a next node");
  return nodeAfter(policy, interleavePrev);
}

/**
 * The node of the page at an address, which is brought in for that.
 *
 * @throws KernelError EFAULT where nothing can be read
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

/** Nodes that the process may have memory of: without cpusets, all that have some. @see MPOL_F_MEMS_ALLOWED */
export function memsAllowed(mm: MmStruct): NodeId[] {
  return nodesWithMemory(mm.vm.memory);
}

function told(policy: MemPolicy | undefined): Required<MempolicyRequest> {
  if (policy === undefined) return { mode: "default", flags: 0, nodes: [] };
  const { mode, flags, nodes, userNodes } = policy;
  return { mode, flags, nodes: (flags & REMEMBERED) !== 0 ? userNodes : nodes };
}

function nothingMapped(address: VirtAddr): KernelError {
  return new KernelError("EFAULT", `nothing is mapped at 0x${address.toString(16)}`);
}
