// Advice that is kept with the mapping: how it is read, whether a child gets it, whether huge pages are wanted. Kernel
// counterpart: madvise_vma_behavior() and madvise_update_vma() in mm/madvise.c, hugepage_madvise() in mm/khugepaged.c.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { Madv } from "./map-flags.ts";
import { vmaModify } from "./split.ts";
import { describeVma, type Vma } from "./vma.ts";
import { VM_SPECIAL, VmFlag } from "./vm-flags.ts";

/** VmFlag bits that advice sets and clears, and which mappings can't have it. */
interface FlagAdvice {
  readonly set?: number;
  readonly clear?: number;
  /** Why not, for a mapping that it doesn't fit. */
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

/** What advice about flags does to a part of a mapping; undefined for advice of another kind. The mmap lock is held for writing. */
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
    // Advice may be given again, when there is room.
    throw new KernelError("EAGAIN", `${describeVma(vma)} can't be divided (${error.reason})`);
  }
}

/** Pages of the pool are the process's memory, though their mappings are special. */
function notDumped({ flags }: Vma): string | undefined {
  return (flags & VmFlag.HUGETLB) === 0 ? has(flags, VM_SPECIAL, "is a device's") : undefined;
}

function has(flags: number, bits: number, why: string): string | undefined {
  return (flags & bits) === 0 ? undefined : why;
}

function notAnonymous({ file, flags }: Vma): string | undefined {
  return file || (flags & VmFlag.SHARED) !== 0 ? "is not private anonymous memory" : undefined;
}
