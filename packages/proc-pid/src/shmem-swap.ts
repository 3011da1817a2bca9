// What of a mapping of shared memory is in swap. Its page tables don't say: the place of such a page is kept by its file.
// Kernel counterpart: shmem_swap_usage() and shmem_partial_swap_usage() in mm/shmem.c.
import { isValue, NO_INDEX } from "@hetmem/kernel/lib";
import type { Vma } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { inodeOf, ShmemInode } from "@hetmem/page-cache";

/** The file behind a mapping of shared memory, undefined for other mappings. @see shmem_mapping() */
export function shmemMapping({ file }: Vma): AddressSpace | undefined {
  return file?.mapping?.host instanceof ShmemInode ? file.mapping : undefined;
}

/** Pages in swap of the part of a file that is mapped. @see shmem_swap_usage() */
export function shmemSwapUsage({ pgoff, lastPgoff }: Vma, mapping: AddressSpace): number {
  const { pages } = mapping;
  const host = inodeOf(mapping);
  if (pages.values === 0) return 0;
  return pgoff === 0 && lastPgoff + 1 >= host.pages
    ? pages.values
    : partialSwapUsage(pages, pgoff, lastPgoff);
}

/** Those among the pages [first, last] of a file. @see shmem_partial_swap_usage() */
export function partialSwapUsage(pages: AddressSpace["pages"], first: number, last: number): number {
  let swapped = 0;
  for (let at = pages.find(first, last); at !== NO_INDEX; at = pages.find(at + 1, last))
    if (isValue(pages.load(at))) swapped++;
  return swapped;
}
