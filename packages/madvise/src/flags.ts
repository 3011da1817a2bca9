// Advice that is stored as flags of the mapping: the order of reads, inheritance by children, core dumps, huge pages.
// Kernel counterparts: madvise_vma_behavior() and madvise_update_vma() in mm/madvise.c, hugepage_madvise() in
// mm/khugepaged.c.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { describeVma, Madv, VM_SPECIAL, type Vma, VmFlag } from "@hetmem/mm";
import { vmaModify } from "@hetmem/mm/vma";

/** VmFlag bits that an advice sets and clears. */
interface FlagAdvice {
  readonly set?: number;
  readonly clear?: number;
  /** The reason why a mapping can't get the advice; undefined if it can. */
  readonly refuse?: (vma: Vma) => string | undefined;
}

const FLAG_ADVICE: ReadonlyMap<number, FlagAdvice> = new Map<number, FlagAdvice>([
  [Madv.NORMAL, { clear: VmFlag.RAND_READ | VmFlag.SEQ_READ }],
  [Madv.SEQUENTIAL, { clear: VmFlag.RAND_READ, set: VmFlag.SEQ_READ }],
  [Madv.RANDOM, { clear: VmFlag.SEQ_READ, set: VmFlag.RAND_READ }],
  [Madv.DONTFORK, { set: VmFlag.DONTCOPY }],
  [Madv.DOFORK, { clear: VmFlag.DONTCOPY, refuse: ({ flags }) => has(flags, VmFlag.IO, "is a device's") }],
  [Madv.WIPEONFORK, { set: VmFlag.WIPEONFORK, refuse: notAnonymous }],
  [Madv.KEEPONFORK, { clear: VmFlag.WIPEONFORK }],
  [Madv.DONTDUMP, { set: VmFlag.DONTDUMP }],
  [Madv.DODUMP, { clear: VmFlag.DONTDUMP, refuse: notDumped }],
  [Madv.HUGEPAGE, { clear: VmFlag.NOHUGEPAGE, set: VmFlag.HUGEPAGE }],
  [Madv.NOHUGEPAGE, { clear: VmFlag.HUGEPAGE, set: VmFlag.NOHUGEPAGE }],
]);

/**
 * The change that an advice makes to a part of a mapping, with the mmap lock held for writing; undefined for advice
 * about pages.
 */
export function madviseFlags(
  advice: number,
): ((vma: Vma, start: VirtAddr, end: VirtAddr) => Sleeps<void>) | undefined {
  const change = FLAG_ADVICE.get(advice);
  return change && ((vma, start, end) => updateVma(vma, start, end, change));
}

/** @see madvise_update_vma() */
function* updateVma(
  vma: Vma,
  start: VirtAddr,
  end: VirtAddr,
  { set = 0, clear = 0, refuse }: FlagAdvice,
): Sleeps<void> {
  const refusal = refuse?.(vma);
  if (refusal !== undefined) throw new KernelError("EINVAL", `${describeVma(vma)} ${refusal}`);
  const flags = (vma.flags & ~clear) | set;
  if (flags === vma.flags) return;
  try {
    const part = yield* vmaModify(vma, start, end, { flags });
    part.flags = flags;
  } catch (error) {
    if (!(error instanceof KernelError) || error.errno !== "ENOMEM") throw error;
    // EAGAIN: the call may be repeated when the address space has fewer mappings.
    throw new KernelError("EAGAIN", `${describeVma(vma)} can't be divided (${error.reason})`);
  }
}

/**
 * MADV_DODUMP refuses special mappings. Those of the hugetlb pool are special, too, but hold ordinary process memory.
 */
function notDumped({ flags }: Vma): string | undefined {
  return (flags & VmFlag.HUGETLB) === 0 ? has(flags, VM_SPECIAL, "is a device's") : undefined;
}

function has(flags: number, bits: number, why: string): string | undefined {
  return (flags & bits) === 0 ? undefined : why;
}

function notAnonymous({ file, flags }: Vma): string | undefined {
  return file || (flags & VmFlag.SHARED) !== 0 ? "is not private anonymous memory" : undefined;
}
