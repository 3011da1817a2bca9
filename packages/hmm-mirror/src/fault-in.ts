// Faults on behalf of a device, as if the process had accessed the pages. Kernel counterpart: hmm_vma_fault() in
// mm/hmm.c.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { FaultFlag, handleMmFault, VM_FAULT_ERROR, type Vma, VmFault, VmFlag } from "@hetmem/mm";

/**
 * Faults in each page of a part of a mapping, requested or not. The mmap lock is held for reading.
 *
 * @param end first byte after the part
 * @param write fault for writing
 * @throws KernelError EPERM when write is set and the mapping isn't writable
 * @throws KernelError EFAULT when a fault fails, also without memory
 */
export function* faultIn(vma: Vma, start: VirtAddr, end: VirtAddr, write: boolean): Sleeps<void> {
  if (write && (vma.flags & VmFlag.WRITE) === 0)
    throw new KernelError(
      "EPERM",
      `0x${start.toString(16)} is asked for to be written, and may only be read`,
    );
  const flags = FaultFlag.REMOTE | (write ? FaultFlag.WRITE : 0);
  for (let at = start; at < end; at = (at + 4096) as VirtAddr) {
    const result = yield* handleMmFault(vma, at, flags);
    if ((result & VM_FAULT_ERROR) !== 0) throw failed(at, result);
  }
}

function failed(address: VirtAddr, result: VmFault): KernelError {
  const why =
    (result & VmFault.OOM) !== 0
      ? "there is no memory for it"
      : (result & VmFault.HWPOISON) !== 0
        ? "its memory is bad"
        : "nothing stands behind it any more";
  return new KernelError("EFAULT", `0x${address.toString(16)} can't be had for a device: ${why}`);
}
