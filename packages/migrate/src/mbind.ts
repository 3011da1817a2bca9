// mbind(2): the memory policy of a range of a process. It splits mappings at both ends of the range, sets the policy in
// between, and may migrate pages that are on the wrong node. Kernel counterpart: do_mbind() in mm/mempolicy.c. Not
// modelled: policies of shared memory objects, which outlive their mappings.
import { alignUp, KernelError, type NodeId, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct, Vma } from "@hetmem/mm";
import {
  allocUncharged,
  type MemPolicy,
  type MempolicyRequest,
  mpolEqual,
  mpolNew,
  tryAllocUncharged,
} from "@hetmem/mm/policy";
import { pageAnon } from "@hetmem/mm/rmap";
import { vmaModify } from "@hetmem/mm/vma";
import { Gfp, GFP_HIGHUSER_MOVABLE, GFP_TRANSHUGE } from "@hetmem/zone";
import { MigrateMode, MigrateReason } from "./migrate-mode.ts";
import { migratePages, putbackMovablePages } from "./migrate-pages.ts";
import type { MigrationTarget } from "./migration-target.ts";
import { checkMoveAll } from "./move-pages.ts";
import { MbindFlag, queuePagesRange } from "./queue-pages.ts";

const VALID_FLAGS = MbindFlag.STRICT | MbindFlag.MOVE | MbindFlag.MOVE_ALL;

/**
 * Sets the policy of [start, start + length).
 *
 * @param start address of a page
 * @param length bytes
 * @param request mode, flags and nodes of the policy
 * @param flags MbindFlag bits
 * @throws KernelError EINVAL for an invalid combination of arguments; EPERM for MOVE_ALL without CAP_SYS_NICE; EFAULT
 *   for a range with holes; EIO with STRICT if a page is on a wrong node, or can't be migrated (with MOVE the policy is
 *   set then); ENOMEM for too many mappings
 * @see mbind(2)
 */
export function* mbind(
  mm: MmStruct,
  start: VirtAddr,
  length: number,
  request: MempolicyRequest,
  flags: number,
): Sleeps<void> {
  const end = checkRange(start, length);
  if ((flags & ~VALID_FLAGS) !== 0)
    throw new KernelError("EINVAL", `0x${flags.toString(16)} is no set of mbind flags`);
  if ((flags & MbindFlag.MOVE_ALL) !== 0) checkMoveAll(mm.rights);
  const policy = mpolNew(mm.vm.memory, request);
  if (end === start) return;
  const wanted = request.mode === "default" ? flags & ~MbindFlag.STRICT : flags;
  yield* mm.mmapLock.downWrite();
  try {
    yield* bindRange(mm, start, end, request.nodes ?? [], policy, wanted);
  } finally {
    mm.mmapLock.upWrite();
  }
}

/**
 * Sets the home node of the policies of a range: their nodes are tried in the order of distance from it.
 *
 * @param start address of a page
 * @param length bytes
 * @throws KernelError EINVAL for a node that isn't online; ENOENT if no mapping in the range has a policy; EOPNOTSUPP
 *   at the first policy that is neither bind nor preferred_many
 * @see set_mempolicy_home_node(2)
 */
export function* setMempolicyHomeNode(
  mm: MmStruct,
  start: VirtAddr,
  length: number,
  homeNode: NodeId,
): Sleeps<void> {
  if (mm.vm.memory.nodes[homeNode]?.online !== true)
    throw new KernelError("EINVAL", `node ${homeNode} is not online: it can't be a home`);
  const end = checkRange(start, length);
  if (end === start) return;
  yield* mm.mmapLock.downWrite();
  try {
    let found = false;
    for (const vma of mm.vmas.within(start, end)) {
      const { policy } = vma;
      if (policy === undefined) continue;
      if (policy.mode !== "bind" && policy.mode !== "preferred_many")
        throw new KernelError("EOPNOTSUPP", `a policy of mode ${policy.mode} has no home node`);
      yield* mbindRange(vma, start, end, { ...policy, homeNode });
      found = true;
    }
    if (!found)
      throw new KernelError("ENOENT", "no mapping in the range has a policy: set one with mbind first");
  } finally {
    mm.mmapLock.upWrite();
  }
}

/** Sets the policy, and migrates pages. The mmap lock is held for writing. @see do_mbind() */
function* bindRange(
  mm: MmStruct,
  start: VirtAddr,
  end: VirtAddr,
  nodes: readonly NodeId[],
  policy: MemPolicy | undefined,
  flags: number,
): Sleeps<void> {
  const { vm } = mm;
  const wants = (node: NodeId): boolean => !nodes.includes(node);
  const holes = policy === undefined ? "allowed" : "refused";
  const queued = yield* queuePagesRange(mm, { start, end, wants, flags, holes });
  try {
    for (const vma of mm.vmas.within(start, end)) yield* mbindRange(vma, start, end, policy);
  } catch (error) {
    putbackMovablePages(vm, queued.pages);
    throw error;
  }
  const { failed } = yield* migratePages(
    vm,
    queued.pages,
    policyTarget(mm, start),
    MigrateMode.Sync,
    MigrateReason.MempolicyMbind,
  );
  putbackMovablePages(
    vm,
    failed.map(({ page }) => page),
  );
  if ((flags & MbindFlag.STRICT) === 0) return;
  const [first] = failed;
  if (first)
    throw new KernelError(
      "EIO",
      `page ${first.page} ${first.reason}: the policy is set, and it stays where it was`,
    );
  if (queued.unmovable)
    throw new KernelError("EIO", "the policy is set, and some pages stay: they can't be isolated now");
}

/** Sets the policy of the part of a mapping that is in a range. @see mbind_range() */
function* mbindRange(vma: Vma, start: VirtAddr, end: VirtAddr, policy: MemPolicy | undefined): Sleeps<void> {
  if (mpolEqual(vma.policy, policy)) return;
  const from = Math.max(start, vma.start) as VirtAddr;
  const to = Math.min(end, vma.end) as VirtAddr;
  const changed = yield* vmaModify(vma, from, to, { policy });
  changed.policy = policy;
}

/** Allocates pages by the new policies of their addresses. @see new_page() */
function policyTarget(mm: MmStruct, start: VirtAddr): MigrationTarget {
  const { memmap } = mm.vm;
  const ask = (page: Page): readonly [Vma | undefined, number, number, number] => {
    const order = memmap.compoundOrder(page);
    const gfp = order > 0 ? GFP_TRANSHUGE : GFP_HIGHUSER_MOVABLE | Gfp.RETRY_MAYFAIL;
    for (let vma = mm.vmas.findFrom(start); vma; vma = mm.vmas.after(vma)) {
      const address = pageAddressInVma(vma, page);
      if (address !== undefined) return [vma, address, gfp, order];
    }
    return [undefined, start, gfp, order];
  };
  return {
    tryAlloc(page) {
      const [vma, address, gfp, order] = ask(page);
      return tryAllocUncharged(vma, mm, address, gfp, order);
    },
    *alloc(page) {
      const [vma, address, gfp, order] = ask(page);
      return yield* allocUncharged(vma, mm, address, gfp, order);
    },
  };
}

/**
 * The address of a page in a mapping; undefined if the page doesn't belong to the mapping.
 *
 * @see page_address_in_vma()
 */
function pageAddressInVma(vma: Vma, page: Page): VirtAddr | undefined {
  const { vm } = vma.mm;
  const { memmap } = vm;
  const owns = pageAnon(vm, page)
    ? vma.anonVma !== undefined && vma.anonVma.root === vm.anonVmas.of(memmap, page)?.root
    : vma.file?.mapping !== undefined && vma.file.mapping === vm.mappings.of(memmap, page);
  if (!owns) return undefined;
  // The index of a page has 32 bits: the lower half of an anonymous page's offset.
  const address = (vma.start + ((memmap.index(page) - vma.pgoff) | 0) * 4096) as VirtAddr;
  return address >= vma.start && address < vma.end ? address : undefined;
}

/** Checks a range. @returns the address behind its last page */
function checkRange(start: VirtAddr, length: number): VirtAddr {
  if (start % 4096 !== 0)
    throw new KernelError("EINVAL", `0x${start.toString(16)} is not the start of a page`);
  const end = start + alignUp(length, 4096);
  if (length < 0 || end < start || end > 2 ** 64)
    throw new KernelError("EINVAL", `0x${start.toString(16)}+0x${length.toString(16)} is no range`);
  return end as VirtAddr;
}
