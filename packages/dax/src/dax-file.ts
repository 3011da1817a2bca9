// An open file of /dev/daxN.M, which supports only mmap(). A mapping is shared, its ends are multiples of the
// device's alignment, and faults fill it with entries of that size. Kernel counterpart: dax_mmap(), check_vma() and
// dax_vm_ops in drivers/dax/device.c.
import { isAligned, KernelError, type Sleeps } from "@hetmem/kernel";
import { MapFlag, type Vma, VmFlag, type VmOperations } from "@hetmem/mm";
import type { AddressSpace, FileObject } from "@hetmem/mm/file";
import type { Inode } from "@hetmem/page-cache";
import { daxFault, daxHugeFault } from "./dax-fault.ts";
import { dropInodeIfUnused } from "./dax-inode.ts";
import type { DevDax } from "./dev-dax.ts";

/** st_dev of files of /dev, as /proc/PID/maps prints it. */
const DEVTMPFS = { major: 0, minor: 5 };
/** Inode number in /dev of the device with minor 0; others follow. */
const FIRST_INODE = 100;

export class DaxFile implements FileObject {
  readonly dax: DevDax;
  readonly writable: boolean;
  readonly device: FileObject["device"] = DEVTMPFS;
  readonly vmOps: VmOperations;
  /** VM_MIXEDMAP as before 4.19 (e1fb4a086495): generic mm code doesn't touch such mappings. */
  readonly vmFlags: number = VmFlag.MIXEDMAP | VmFlag.HUGEPAGE;
  readonly mmapSupportedFlags: number = MapFlag.SYNC;
  readonly #inode: Inode;

  /** @param inode inode of the device, whose address space the mappings belong to */
  constructor(dax: DevDax, inode: Inode, writable: boolean) {
    this.dax = dax;
    this.writable = writable;
    this.#inode = inode;
    this.vmOps = {
      fault: (fault) => daxFault(dax, fault),
      hugeFault: (fault) => daxHugeFault(dax, fault),
      maySplit(vma, address) {
        if (!isAligned(address, dax.align)) throw unaligned(dax, vma, address);
      },
    };
  }

  get path(): string {
    return `/dev/${this.dax.name}`;
  }

  get inode(): number {
    return FIRST_INODE + this.dax.minor;
  }

  get mapping(): AddressSpace {
    return this.#inode.mapping;
  }

  /** @see dax_get_unmapped_area() */
  get mapAlignment(): number {
    return this.dax.align;
  }

  /**
   * Checks a new mapping.
   *
   * @throws KernelError ENXIO when device_dax isn't bound to the device; EINVAL for a private mapping, and for ends
   * that aren't multiples of the device's alignment
   */
  mmap(vma: Vma): void {
    checkAlive(this.dax);
    if ((vma.flags & VmFlag.MAYSHARE) === 0)
      throw new KernelError("EINVAL", `${this.path} can't be mapped MAP_PRIVATE: use MAP_SHARED`);
    for (const end of [vma.start, vma.end])
      if (!isAligned(end, this.dax.align)) throw unaligned(this.dax, vma, end);
  }

  *unmapped(): Sleeps<void> {
    dropInodeIfUnused(this.#inode);
  }
}

/** @throws KernelError ENXIO @see dax_alive() */
export function checkAlive({ alive, name }: DevDax): void {
  if (!alive)
    throw new KernelError("ENXIO", `${name} is not run by device_dax: bind it to that driver first`);
}

function unaligned({ name, align }: DevDax, { start, end }: Vma, at: number): KernelError {
  return new KernelError(
    "EINVAL",
    `0x${at.toString(16)} of mapping 0x${start.toString(16)}-0x${end.toString(16)} is not a multiple of 0x${align.toString(16)}, the alignment of ${name}`,
  );
}
