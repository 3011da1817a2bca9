// Splitting a huge entry at the boundary of a mapping or range. Splits, moves and protection changes of mappings call
// it first, so that no huge entry reaches beyond a mapping or a range. Kernel counterpart: split_huge_pmd_if_needed()
// in mm/huge_memory.c.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { PMD_SIZE } from "@hetmem/page-table";
import type { Vma } from "../vma/vma.ts";
import { splitHugePmd } from "./split-pmd.ts";

/** Splits the huge entry that an address lies inside of, if there is one. The mmap lock is held. */
export function* splitHugeAt(vma: Vma, address: VirtAddr): Sleeps<void> {
  if (address % PMD_SIZE !== 0) yield* splitHugePmd(vma, address);
}
