// A mapping that the kernel itself puts into an address space, as the vDSO: a few pages, of a size that doesn't change.
// Kernel counterpart: _install_special_mapping() and special_mapping_vmops in mm/mmap.c.
import { KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { VmFault } from "../fault/vm-fault.ts";
import type { MmStruct } from "../mm-struct.ts";
import { lockPage } from "../page-lock.ts";
import { enterVma } from "./adjust.ts";
import { describeVma, type FaultContext, Vma, type VmOperations } from "./vma.ts";
import { VM_LOCKED_MASK, VmFlag } from "./vm-flags.ts";

/** @see struct vm_special_mapping */
export interface SpecialMapping {
  /** As /proc/PID/maps prints it: "[vdso]". */
  readonly name: string;
  /** By page from the beginning; behind the last, a fault is SIGBUS. */
  readonly pages: readonly Page[];
  /** Finds pages in another way. */
  fault?(fault: FaultContext): Sleeps<VmFault>;
  /** @throws KernelError when it must not move */
  mremap?(vma: Vma): void;
}

/**
 * Puts a mapping of the kernel's into an address space. The mmap lock is held for writing.
 *
 * @param length bytes, whole pages
 * @param flags VmFlag bits
 * @throws KernelError ENOMEM where something is mapped, or promised memory is short
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

/** It is neither merged, which a close() sees to, nor divided. @see special_mapping_vmops */
function operationsOf(mapping: SpecialMapping): VmOperations {
  return {
    close: () => {},
    maySplit(vma) {
      throw new KernelError("EINVAL", `${mapping.name} can't be divided: ${describeVma(vma)}`);
    },
    mremap: (vma) => mapping.mremap?.(vma),
    fault: (fault) => mapping.fault?.(fault) ?? givePage(mapping, fault),
    name: () => mapping.name,
  };
}

/** @see special_mapping_fault() */
function* givePage({ pages }: SpecialMapping, fault: FaultContext): Sleeps<VmFault> {
  const { memmap } = fault.vma.mm.vm;
  const page = pages[fault.pgoff];
  if (page === undefined) return VmFault.SIGBUS;
  memmap.getPage(page);
  yield* lockPage(memmap, page);
  fault.page = page;
  return VmFault.LOCKED;
}
