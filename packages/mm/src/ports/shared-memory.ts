// Port: memory that processes share without a file. `Shmem` of the page-cache package is one; without any, MAP_SHARED |
// MAP_ANONYMOUS fails. Kernel counterpart: shmem_zero_setup() in mm/shmem.c.
import { KernelError } from "@hetmem/kernel";
import type { Vma } from "../vma/vma.ts";

export interface SharedMemory {
  /**
   * Gives a shared mapping without a file one that nothing else can open.
   *
   * @throws KernelError ENOMEM when vm.overcommit_memory doesn't allow as much
   */
  zeroSetup(vma: Vma): void;
}

export const noSharedMemory: SharedMemory = {
  zeroSetup() {
    throw new KernelError("ENODEV", "the machine was made without shared memory: give Vm the page cache's");
  },
};
