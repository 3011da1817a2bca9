// Mappings that the kernel itself inserts into an address space, such as the vDSO: a few pages, at a fixed size. They
// are neither merged nor split nor locked. Kernel counterparts: _install_special_mapping() and special_mapping_vmops
// in mm/mmap.c.
import { KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { VmFault } from "../fault/vm-fault.ts";
import type { MmStruct } from "../mm-struct.ts";
import { lockPage } from "../page-lock.ts";
import { enterVma } from "./adjust.ts";
import { describeVma, type FaultContext, Vma, type VmOperations } from "./vma.ts";
import { VM_LOCKED_MASK, VmFlag } from "./vm-flags.ts";

/** @see struct vm_special_mapping */
export interface SpecialMapping {
  /** The name in /proc/PID/maps, for example "[vdso]". */
  readonly name: string;
  /** The pages in order from the start of the mapping. A fault after the last page gets SIGBUS. */
  readonly pages: readonly Page[];
  /** Serves faults instead of `pages`. */
  fault?(fault: FaultContext): Sleeps<VmFault>;
  /** @throws KernelError when the mapping must not move */
  mremap?(vma: Vma): void;
}

/**
 * Inserts a mapping of the kernel into an address space. The mmap lock is held for writing.
 *
 * @param length bytes, a multiple of the page size
 * @param flags VmFlag bits
 * @returns the mapping
 * @throws KernelError ENOMEM when the range is in use or overcommit doesn't allow the pages
 * @see _install_special_mapping()
 */
export function* installSpecialMapping(
  mm: MmStruct,
  start: VirtAddr,
  length: number,
  flags: number,
  mapping: SpecialMapping,
): Sleeps<Vma> {
  const end = (start + length) as VirtAddr;
  const next = mm.vmas.findFrom(start);
  if (next && next.start < end)
    throw new KernelError("ENOMEM", `${mapping.name} doesn't fit beside ${describeVma(next)}`);
  const bits = (flags | mm.defFlags | VmFlag.DONTEXPAND | VmFlag.SOFTDIRTY) & ~VM_LOCKED_MASK;
  if ((bits & VmFlag.ACCOUNT) !== 0) mm.vm.commit.charge(mm, length / PAGE_SIZE);
  const vma = new Vma(mm, start, end, bits, 0);
  vma.ops = operationsOf(mapping);
  vma.private = mapping;
  yield* enterVma(vma);
  return vma;
}

/**
 * Operations of a special mapping. close() prevents merging, maySplit() prevents splitting.
 *
 * @see special_mapping_vmops
 */
function operationsOf(mapping: SpecialMapping): VmOperations {
  return {
    close: () => {},
    maySplit(vma) {
      throw new KernelError("EINVAL", `${mapping.name} can't be divided: ${describeVma(vma)}`);
    },
    mremap: (vma) => mapping.mremap?.(vma),
    fault: (fault) => mapping.fault?.(fault) ?? specialMappingFault(mapping, fault),
    name: () => mapping.name,
  };
}

/** @see special_mapping_fault() */
function* specialMappingFault({ pages }: SpecialMapping, fault: FaultContext): Sleeps<VmFault> {
  const { memmap } = fault.vma.mm.vm;
  const page = pages[fault.pgoff];
  if (page === undefined) return VmFault.SIGBUS;
  memmap.getPage(page);
  yield* lockPage(memmap, page);
  fault.page = page;
  return VmFault.LOCKED;
}
