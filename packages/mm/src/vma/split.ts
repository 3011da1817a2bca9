// A mapping is divided, and a range of one becomes a mapping of its own, alone or with its neighbours. Kernel counterpart:
// split_vma() in mm/mmap.c, and the steps that mprotect_fixup(), madvise_update_vma() and mlock_fixup() have in common
// (vma_modify() since 6.7).
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import type { MemPolicy } from "../policy/mempolicy.ts";
import { adjustVmas } from "./adjust.ts";
import { checkMapCount } from "./commit.ts";
import { vmaMerge } from "./merge.ts";
import { Vma } from "./vma.ts";

/** Which part is the new mapping; the other one stays what it was. */
export type FreshPart = "below" | "above";

/**
 * Divides a mapping at an address inside of it. The mmap lock is held for writing.
 *
 * @returns the new mapping
 * @throws KernelError ENOMEM when the address space has too many mappings, and what the driver's maySplit() throws
 * @see split_vma()
 */
export function* splitVma(vma: Vma, address: VirtAddr, fresh: FreshPart): Sleeps<Vma> {
  checkMapCount(vma.mm);
  return yield* splitVmaAnyway(vma, address, fresh);
}

/** The same for who has counted the mappings, or is about to remove one. @see __split_vma() */
export function* splitVmaAnyway(vma: Vma, address: VirtAddr, fresh: FreshPart): Sleeps<Vma> {
  vma.ops?.maySplit?.(vma, address);
  const { start, end } = vma;
  const part = fresh === "below" ? copyVma(vma, start, address) : copyVma(vma, address, end);
  vma.ops?.open?.(part);
  const rest = fresh === "below" ? { vma, start: address, end } : { vma, start, end: address };
  yield* adjustVmas([rest], [], part);
  return part;
}

/** A mapping like another, of other addresses; not in any list or tree yet. @see vm_area_dup() */
export function copyVma(from: Vma, start: VirtAddr, end: VirtAddr): Vma {
  const vma = new Vma(from.mm, start, end, from.flags, from.pgoffOf(start));
  vma.file = from.file;
  vma.ops = from.ops;
  vma.policy = from.policy;
  vma.private = from.private;
  return vma;
}

/** What is going to be different. */
export interface Modification {
  readonly flags?: number;
  readonly policy?: MemPolicy | undefined;
}

/**
 * Makes a range of a mapping one of its own, that can be given other flags or another policy: merged with the neighbours
 * which have those already, else split off. The caller sets the flags.
 *
 * @returns the mapping that has the range
 * @throws KernelError ENOMEM when the address space has too many mappings, and what the driver's maySplit() throws
 */
export function* vmaModify(vma: Vma, start: VirtAddr, end: VirtAddr, change: Modification): Sleeps<Vma> {
  const { mm, anonVma, file } = vma;
  const { flags, policy } = { flags: vma.flags, policy: vma.policy, ...change };
  const prev = start > vma.start ? vma : mm.vmas.before(vma);
  const span = { start, end, flags, anonVma, file, pgoff: vma.pgoffOf(start), policy };
  const merged = yield* vmaMerge(mm, prev, span);
  if (merged) return merged;
  if (start !== vma.start) yield* splitVma(vma, start, "below");
  if (end !== vma.end) yield* splitVma(vma, end, "above");
  return vma;
}
