// Port: shared anonymous memory, which processes inherit through fork() and the kernel keeps in an unlinked file.
// `Shmem` of the package page-cache implements it. Without it MAP_SHARED | MAP_ANONYMOUS fails with ENODEV. Kernel
// counterpart: shmem_zero_setup() in mm/shmem.c.
import { KernelError } from "@hetmem/kernel";
import type { Vma } from "../vma/vma.ts";

export interface SharedMemory {
  /**
   * Gives a shared anonymous mapping an unlinked shmem file of its own.
   *
   * @throws KernelError ENOMEM when vm.overcommit_memory doesn't allow the pages
   * @see shmem_zero_setup()
   */
  zeroSetup(vma: Vma): void;
}

export const noSharedMemory: SharedMemory = {
  zeroSetup() {
    throw new KernelError(
      "ENODEV",
      "the machine was made without shared memory: give Vm pageCacheParts of @hetmem/page-cache",
    );
  },
};
