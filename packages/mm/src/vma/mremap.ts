// mremap(): resizes a mapping in place, or moves it. A mapping shrinks by unmapping its end, and grows in place if
// the addresses after it are free. Otherwise, or for MREMAP_FIXED and MREMAP_DONTUNMAP, move-vma.ts moves it. Kernel
// counterpart: mremap() in mm/mremap.c.
import { alignUp, isAligned, KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { PMD_SIZE, TASK_SIZE } from "@hetmem/page-table";
import type { MmStruct } from "../mm-struct.ts";
import { adjustVmas } from "./adjust.ts";
import { checkExpansion, checkLock, checkMapCount, vmStatAccount } from "./commit.ts";
import { MapFlag, MremapFlag } from "./map-flags.ts";
import { vmaMerge } from "./merge.ts";
import { moveVma } from "./move-vma.ts";
import { doMunmap } from "./munmap.ts";
import { mmPopulateQuietly } from "./populate.ts";
import { getUnmappedArea } from "./unmapped-area.ts";
import { VmFlag } from "./vm-flags.ts";
import { describeVma, isVmHugetlbPage, type Vma } from "./vma.ts";

/** Arguments of mremap(). */
export interface MremapRequest {
  readonly address: VirtAddr;
  /** Bytes, within one mapping. 0 makes a second mapping of the same shared memory. */
  readonly oldLength: number;
  readonly newLength: number;
  /** MremapFlag bits. */
  readonly flags: number;
  /** The exact address for FIXED, the preferred one for DONTUNMAP. */
  readonly newAddress?: number;
}

const KNOWN_FLAGS = MremapFlag.MAYMOVE | MremapFlag.FIXED | MremapFlag.DONTUNMAP;

/**
 * Resizes or moves a mapping with its pages.
 *
 * @returns the start address afterwards
 * @throws KernelError EINVAL for a request that contradicts itself; EFAULT where nothing is mapped, the mapping ends
 *   before `oldLength`, or the mapping can't be resized; ENOMEM when the mapping can't grow in place and may not
 *   move, or RLIMIT_AS, RLIMIT_DATA, vm.max_map_count or overcommit is exceeded; EAGAIN over RLIMIT_MEMLOCK
 * @see mremap(2)
 */
export function* mremap(mm: MmStruct, request: MremapRequest): Sleeps<VirtAddr> {
  const { address, flags } = request;
  const oldLength = alignUp(request.oldLength, PAGE_SIZE);
  const newLength = alignUp(request.newLength, PAGE_SIZE);
  checkRequest(request);
  yield* mm.mmapLock.downWrite();
  let where: VirtAddr;
  let locked: boolean;
  try {
    const sized = hugetlbAligned(lookUp(mm, address), { ...request, oldLength, newLength });
    const elsewhere = (flags & (MremapFlag.FIXED | MremapFlag.DONTUNMAP)) !== 0;
    where = elsewhere ? yield* mremapTo(mm, sized) : yield* resize(mm, sized);
    locked = ((mm.vmas.at(where)?.flags ?? 0) & VmFlag.LOCKED) !== 0;
  } finally {
    mm.mmapLock.upWrite();
  }
  if (locked && newLength > oldLength)
    yield* mmPopulateQuietly(mm, (where + oldLength) as VirtAddr, newLength - oldLength);
  return where;
}

function checkRequest({ address, flags, oldLength, newLength }: MremapRequest): void {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  if ((flags & ~KNOWN_FLAGS) !== 0)
    throw new KernelError("EINVAL", `mremap flags 0x${flags.toString(16)} have bits that mean nothing`);
  if (has(MremapFlag.FIXED | MremapFlag.DONTUNMAP) && !has(MremapFlag.MAYMOVE))
    throw new KernelError("EINVAL", "MREMAP_FIXED and MREMAP_DONTUNMAP move: add MREMAP_MAYMOVE");
  if (has(MremapFlag.DONTUNMAP) && oldLength !== newLength)
    throw new KernelError("EINVAL", "MREMAP_DONTUNMAP can't change the size at the same time");
  if (!isAligned(address, PAGE_SIZE))
    throw new KernelError("EINVAL", `0x${address.toString(16)} is not the address of a page`);
  if (newLength <= 0) throw new KernelError("EINVAL", "a mapping keeps at least one page: use munmap()");
}

/** Rounds the lengths of a hugetlb mapping to 2 MiB. It can only shrink: further pages are not reserved. */
function hugetlbAligned(vma: Vma, request: MremapRequest): MremapRequest {
  if (!isVmHugetlbPage(vma)) return request;
  const oldLength = alignUp(request.oldLength, PMD_SIZE);
  const newLength = alignUp(request.newLength, PMD_SIZE);
  const moves = (request.flags & (MremapFlag.FIXED | MremapFlag.DONTUNMAP)) !== 0;
  if (moves || newLength > oldLength || !isAligned(request.address, PMD_SIZE))
    throw new KernelError("EINVAL", `${describeVma(vma)} has huge pages: it can only become shorter`);
  return { ...request, oldLength, newLength };
}

function lookUp(mm: MmStruct, address: VirtAddr): Vma {
  const vma = mm.vmas.at(address);
  if (!vma) throw new KernelError("EFAULT", `nothing is mapped at 0x${address.toString(16)}`);
  return vma;
}

/** Resizes in place if possible, else moves if MAYMOVE allows it. */
function* resize(mm: MmStruct, request: MremapRequest): Sleeps<VirtAddr> {
  const { address, oldLength, newLength, flags } = request;
  if (oldLength >= newLength) {
    if (oldLength > newLength) yield* doMunmap(mm, (address + newLength) as VirtAddr, oldLength - newLength);
    return address;
  }
  const vma = vmaToResize(mm, request);
  if (address + oldLength === vma.end && expandable(vma, newLength - oldLength)) {
    yield* growInPlace(vma, newLength - oldLength);
    return address;
  }
  if ((flags & MremapFlag.MAYMOVE) === 0)
    throw new KernelError("ENOMEM", `${describeVma(vma)} can't grow where it is: allow MREMAP_MAYMOVE`);
  const pgoff = vma.pgoffOf(address);
  const target = getUnmappedArea(mm, { address: 0, length: newLength, file: vma.file, pgoff, flags: 0 });
  return yield* moveVma({ vma, start: address, length: oldLength, target, newLength, keepSource: false });
}

/** @see mremap_to() */
function* mremapTo(mm: MmStruct, request: MremapRequest): Sleeps<VirtAddr> {
  const { address, newLength, flags, newAddress = 0 } = request;
  const fixed = (flags & MremapFlag.FIXED) !== 0;
  checkTarget(request, newAddress);
  // Both ranges may be in the middle of a mapping, and are split off before the old one is unmapped.
  checkMapCount(mm, mm.vm.tunables.maxMapCount - 5);
  if (fixed) yield* doMunmap(mm, newAddress as VirtAddr, newLength);
  let { oldLength } = request;
  if (oldLength > newLength) {
    yield* doMunmap(mm, (address + newLength) as VirtAddr, oldLength - newLength);
    oldLength = newLength;
  }
  const vma = vmaToResize(mm, { ...request, oldLength });
  const keepSource = (flags & MremapFlag.DONTUNMAP) !== 0;
  if (keepSource) checkExpansion(mm, vma.flags, oldLength / PAGE_SIZE);
  const target = getUnmappedArea(mm, {
    address: newAddress,
    length: newLength,
    file: vma.file,
    pgoff: vma.pgoffOf(address),
    flags: fixed ? MapFlag.FIXED : 0,
  });
  return yield* moveVma({ vma, start: address, length: oldLength, target, newLength, keepSource });
}

function checkTarget({ address, oldLength, newLength }: MremapRequest, target: number): void {
  if (!isAligned(target, PAGE_SIZE))
    throw new KernelError("EINVAL", `0x${target.toString(16)} is not the address of a page`);
  if (newLength > TASK_SIZE || target > TASK_SIZE - newLength)
    throw new KernelError(
      "EINVAL",
      `0x${target.toString(16)} is too high for 0x${newLength.toString(16)} bytes`,
    );
  if (address + oldLength > target && target + newLength > address)
    throw new KernelError("EINVAL", "the old and the new place overlap: choose one that doesn't");
}

/** The mapping at the address, checked for the new length. @see vma_to_resize() */
function vmaToResize(mm: MmStruct, { address, oldLength, newLength, flags }: MremapRequest): Vma {
  const vma = lookUp(mm, address);
  const unexpandable = (vma.flags & (VmFlag.DONTEXPAND | VmFlag.PFNMAP)) !== 0;
  if (oldLength === 0 && (vma.flags & (VmFlag.SHARED | VmFlag.MAYSHARE)) === 0)
    throw new KernelError("EINVAL", `${describeVma(vma)} is private and can't be there twice`);
  if ((flags & MremapFlag.DONTUNMAP) !== 0 && unexpandable)
    throw new KernelError("EINVAL", `${describeVma(vma)} is a device's: it can't be left without pages`);
  if (oldLength > vma.end - address)
    throw new KernelError(
      "EFAULT",
      `${describeVma(vma)} ends before 0x${(address + oldLength).toString(16)}`,
    );
  if (newLength === oldLength) return vma;
  if (unexpandable)
    throw new KernelError("EFAULT", `${describeVma(vma)} is a device's, whose size is what it is`);
  const pages = (newLength - oldLength) / PAGE_SIZE;
  checkLock(mm, vma.flags, pages);
  checkExpansion(mm, vma.flags, pages);
  return vma;
}

/** @see vma_expandable() */
function expandable({ end, mm }: Vma, bytes: number): boolean {
  const next = mm.vmas.findFrom(end);
  return end + bytes <= TASK_SIZE && (!next || next.start >= end + bytes);
}

function* growInPlace(vma: Vma, bytes: number): Sleeps<void> {
  const { mm, start, flags, anonVma, file, policy } = vma;
  const [from, end] = [vma.end, (vma.end + bytes) as VirtAddr];
  const pages = bytes / PAGE_SIZE;
  if ((flags & VmFlag.ACCOUNT) !== 0) mm.vm.commit.charge(mm, pages);
  // A driver with close() prevents merges with other mappings. Its mapping may still grow.
  if (vma.ops?.close) {
    yield* adjustVmas([{ vma, start, end }]);
  } else {
    const span = { start: from, end, flags, anonVma, file, pgoff: vma.pgoff + vma.pages, policy };
    if (!(yield* vmaMerge(mm, vma, span))) throw refusal(vma, pages);
  }
  vmStatAccount(mm, flags, pages);
  if ((flags & VmFlag.LOCKED) !== 0) mm.lockedVm += pages;
}

/** VM_SPECIAL mappings don't merge, so they can't grow either. */
function refusal(vma: Vma, pages: number): KernelError {
  if ((vma.flags & VmFlag.ACCOUNT) !== 0) vma.mm.vm.commit.uncharge(pages);
  return new KernelError("ENOMEM", `${describeVma(vma)} can't be continued behind its end`);
}
