// The address of a new mapping: the requested one, else the end of the highest gap that is large enough below
// mmapBase, which leaves room for the stack. Kernel counterparts: get_unmapped_area() and vm_unmapped_area() in
// mm/mmap.c, arch_get_unmapped_area_topdown() in arch/x86/kernel/sys_x86_64.c.
import { alignDown, alignUp, isAligned, KernelError, PAGE_SIZE, type VirtAddr } from "@hetmem/kernel";
import { PMD_SIZE, TASK_SIZE } from "@hetmem/page-table";
import type { FileObject } from "../file/file-object.ts";
import type { MmStruct } from "../mm-struct.ts";
import { Cap } from "../process/credentials.ts";
import { MapFlag } from "./map-flags.ts";
import { VmFlag } from "./vm-flags.ts";
import type { Vma } from "./vma.ts";

/**
 * Bytes that stay unmapped below a stack, so that a stack overflow faults. The kernel's default is 256 pages.
 *
 * @see stack_guard_gap
 */
export const STACK_GUARD_GAP: number = 256 * PAGE_SIZE;
/** Start of the bottom-up search, which follows a failed top-down search. @see TASK_UNMAPPED_BASE */
const TASK_UNMAPPED_BASE = alignUp(TASK_SIZE / 3, PAGE_SIZE);

/** The range that is looked for. */
export interface AreaRequest {
  /** The preferred address; with MAP_FIXED the exact one; 0 for any. */
  readonly address: number;
  /** Bytes, a multiple of the page size. */
  readonly length: number;
  readonly file: FileObject | undefined;
  /** Page offset in the file. */
  readonly pgoff: number;
  /** MapFlag bits. */
  readonly flags: number;
}

/**
 * Finds an address for a mapping.
 *
 * @returns the start address
 * @throws KernelError ENOMEM when no gap is large enough; EINVAL for a fixed address that is not a multiple of the
 *   page size; EPERM for an address below vm.mmap_min_addr without CAP_SYS_RAWIO
 * @see get_unmapped_area()
 */
export function getUnmappedArea(mm: MmStruct, request: AreaRequest): VirtAddr {
  const { length } = request;
  if (length > TASK_SIZE)
    throw new KernelError("ENOMEM", `0x${length.toString(16)} bytes are more than an address space has`);
  const address = (request.flags & MapFlag.FIXED) !== 0 ? request.address : findArea(mm, request);
  if (isHugetlb(request) && !isAligned(address, PMD_SIZE))
    throw new KernelError("EINVAL", `0x${address.toString(16)} is not the address of a huge page`);
  if (address > TASK_SIZE - length)
    throw new KernelError(
      "ENOMEM",
      `0x${length.toString(16)} bytes at 0x${address.toString(16)} reach past the end of the address space`,
    );
  if (!isAligned(address, PAGE_SIZE))
    throw new KernelError("EINVAL", `0x${address.toString(16)} is not the address of a page`);
  const { mmapMinAddr } = mm.vm.tunables;
  if (address < mmapMinAddr && !mm.capable(Cap.SYS_RAWIO))
    throw new KernelError(
      "EPERM",
      `0x${address.toString(16)} is below vm.mmap_min_addr, 0x${mmapMinAddr.toString(16)}`,
    );
  return address as VirtAddr;
}

/**
 * The lowest address that a mapping keeps free for itself: its start, less the guard gap if it is a stack.
 *
 * @see vm_start_gap()
 */
export function startGap(vma: Vma): number {
  return (vma.flags & VmFlag.GROWSDOWN) === 0 ? vma.start : Math.max(0, vma.start - STACK_GUARD_GAP);
}

/**
 * An address with the same offset inside a huge page as the file's pages have, if the file asks for that with
 * mapAlignment. Such a mapping can be served with huge entries.
 *
 * @see thp_get_unmapped_area(), dax_get_unmapped_area()
 */
function findArea(mm: MmStruct, request: AreaRequest): number {
  if (isHugetlb(request)) return findHugetlbArea(mm, request);
  const { address, length, file, pgoff } = request;
  const align = file?.mapAlignment ?? PAGE_SIZE;
  const offset = pgoff * PAGE_SIZE;
  if (
    address !== 0 ||
    alignDown(offset + length, align) - alignUp(offset, align) < align ||
    align === PAGE_SIZE
  )
    return findUnaligned(mm, address, length);
  const padded = searchDown(mm, length + align) ?? findUnaligned(mm, 0, length);
  return padded + ((((offset - padded) % align) + align) % align);
}

function isHugetlb({ file }: AreaRequest): boolean {
  return ((file?.vmFlags ?? 0) & VmFlag.HUGETLB) !== 0;
}

/** An address aligned to 2 MiB, the size of the pool's pages. @see hugetlb_get_unmapped_area() */
function findHugetlbArea(mm: MmStruct, { address, length }: AreaRequest): number {
  const wish = alignUp(address, PMD_SIZE);
  if (isGap(mm, wish, length)) return wish;
  return alignUp(findUnaligned(mm, 0, length + PMD_SIZE - PAGE_SIZE), PMD_SIZE);
}

function isGap({ vmas }: MmStruct, address: number, length: number): boolean {
  if (address === 0 || address > TASK_SIZE - length) return false;
  const next = vmas.findFrom(address as VirtAddr);
  return !next || address + length <= startGap(next);
}

/** @see arch_get_unmapped_area_topdown() */
function findUnaligned(mm: MmStruct, wish: number, length: number): number {
  const address = alignDown(wish, PAGE_SIZE);
  if (isGap(mm, address, length)) return address;
  const found = searchDown(mm, length) ?? searchUp(mm, length);
  if (found !== undefined) return found;
  throw new KernelError(
    "ENOMEM",
    `no gap of 0x${length.toString(16)} bytes is left between the ${mm.vmas.count} mappings of the address space`,
  );
}

/** The start of the top `length` bytes of the highest gap below mmapBase. @see unmapped_area_topdown() */
function searchDown({ vmas, mmapBase }: MmStruct, length: number): number | undefined {
  let index = vmas.indexFrom(mmapBase);
  let ceiling: number = mmapBase;
  const above = vmas.get(index);
  if (above) ceiling = Math.min(ceiling, startGap(above));
  // Ends: each turn is a mapping further down.
  for (;;) {
    const below = vmas.get(--index);
    if (ceiling - (below?.end ?? PAGE_SIZE) >= length) return ceiling - length;
    if (!below) return undefined;
    ceiling = startGap(below);
  }
}

/** The start of the lowest gap of `length` bytes above TASK_UNMAPPED_BASE. @see unmapped_area() */
function searchUp({ vmas }: MmStruct, length: number): number | undefined {
  let index = vmas.indexFrom(TASK_UNMAPPED_BASE as VirtAddr);
  // Ends: each turn is a mapping further up.
  for (let floor = TASK_UNMAPPED_BASE; ; index++) {
    const above = vmas.get(index);
    if ((above ? startGap(above) : TASK_SIZE) - floor >= length) return floor;
    if (!above) return undefined;
    floor = Math.max(floor, above.end);
  }
}
