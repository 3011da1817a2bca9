// The pages of a shmem mapping that are in swap, for smaps. Page tables have no entries for them: value entries in the
// file do.
// Kernel counterpart: shmem_swap_usage() and shmem_partial_swap_usage() in mm/shmem.c.
import { isValue, NO_INDEX } from "@hetmem/kernel/lib";
import type { Vma } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { inodeOf, ShmemInode } from "@hetmem/page-cache";

/** The file of a shmem mapping; undefined for other mappings. @see shmem_mapping() */
export function shmemMapping({ file }: Vma): AddressSpace | undefined {
  return file?.mapping?.host instanceof ShmemInode ? file.mapping : undefined;
}

/** Pages in swap, of the part of a file that a mapping maps. @see shmem_swap_usage() */
export function shmemSwapUsage({ pgoff, lastPgoff }: Vma, mapping: AddressSpace): number {
  const { pages } = mapping;
  const host = inodeOf(mapping);
  if (pages.values === 0) return 0;
  return pgoff === 0 && lastPgoff + 1 >= host.pages
    ? pages.values
    : partialSwapUsage(pages, pgoff, lastPgoff);
}

/** Pages in swap among the pages [first, last] of a file. @see shmem_partial_swap_usage() */
export function partialSwapUsage(pages: AddressSpace["pages"], first: number, last: number): number {
  let swapped = 0;
  for (let at = pages.find(first, last); at !== NO_INDEX; at = pages.find(at + 1, last))
    if (isValue(pages.load(at))) swapped++;
  return swapped;
}
