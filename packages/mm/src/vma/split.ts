// Dividing mappings: at an address, or so that a range becomes a mapping of its own or part of a neighbour. Kernel
// counterparts: split_vma() in mm/mmap.c, and the steps that mprotect_fixup(), madvise_update_vma() and mlock_fixup()
// have in common (vma_modify() since 6.7).
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import type { MemPolicy } from "../policy/mempolicy.ts";
import { adjustVmas } from "./adjust.ts";
import { checkMapCount } from "./commit.ts";
import { vmaMerge } from "./merge.ts";
import { Vma } from "./vma.ts";

/** The part that becomes the new mapping. The existing object keeps the other part. */
export type FreshPart = "below" | "above";

/**
 * Divides a mapping at an address inside of it. The mmap lock is held for writing.
 *
 * @returns the new mapping
 * @throws KernelError ENOMEM when the address space has vm.max_map_count mappings, and the errors of the driver's
 *   maySplit()
 * @see split_vma()
 */
export function* splitVma(vma: Vma, address: VirtAddr, fresh: FreshPart): Sleeps<Vma> {
  checkMapCount(vma.mm);
  return yield* splitVmaAnyway(vma, address, fresh);
}

/**
 * splitVma() without the check of vm.max_map_count. Its callers have checked the count, or remove a mapping next.
 * @see __split_vma()
 */
export function* splitVmaAnyway(vma: Vma, address: VirtAddr, fresh: FreshPart): Sleeps<Vma> {
  vma.ops?.maySplit?.(vma, address);
  const { start, end } = vma;
  const part = fresh === "below" ? copyVma(vma, start, address) : copyVma(vma, address, end);
  vma.ops?.open?.(part);
  const rest = fresh === "below" ? { vma, start: address, end } : { vma, start, end: address };
  yield* adjustVmas([rest], [], part);
  return part;
}

/** A copy of a mapping with other addresses, not yet in any list or tree. @see vm_area_dup() */
export function copyVma(from: Vma, start: VirtAddr, end: VirtAddr): Vma {
  const vma = new Vma(from.mm, start, end, from.flags, from.pgoffOf(start));
  vma.file = from.file;
  vma.ops = from.ops;
  vma.policy = from.policy;
  vma.private = from.private;
  return vma;
}

/** New properties of a range; an absent one stays as it is. */
export interface Modification {
  readonly flags?: number;
  readonly policy?: MemPolicy | undefined;
}

/**
 * Makes a range of a mapping a mapping of its own, whose flags or policy the caller then sets. A neighbour that has
 * the new properties already grows over the range; otherwise the range is split off.
 *
 * @returns the mapping that holds the range
 * @throws KernelError ENOMEM when the address space has vm.max_map_count mappings, and the errors of the driver's
 *   maySplit()
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
