// Faults for a device, as if the process had touched its pages itself. Kernel counterpart: hmm_vma_fault() in mm/hmm.c.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { FaultFlag, handleMmFault, VM_FAULT_ERROR, type Vma, VmFault, VmFlag } from "@hetmem/mm";

/**
 * Faults in each page of a part of a mapping, those that were not asked for among them. The mmap lock is held for
 * reading.
 *
 * @param write the process must be able to write to them then
 * @throws KernelError EPERM where the mapping can't be written to
 * @throws KernelError EFAULT when a fault fails, for want of memory too
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
