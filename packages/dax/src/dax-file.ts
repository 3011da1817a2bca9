// An open /dev/daxN.M: it can be mapped, and nothing else. A mapping is shared, begins and ends where the device's
// alignment lets it, and gets its entries fault by fault, as large as the alignment. Kernel counterpart: dax_mmap(),
// check_vma() and dax_vm_ops in drivers/dax/device.c.
import { isAligned, KernelError, type Sleeps } from "@hetmem/kernel";
import {
  type AddressSpace,
  type FileObject,
  type Inode,
  MapFlag,
  type Vma,
  VmFlag,
  type VmOperations,
} from "@hetmem/mm";
import { daxFault, daxHugeFault } from "./dax-fault.ts";
import { dropInodeIfUnused } from "./dax-inode.ts";
import type { DevDax } from "./dev-dax.ts";

/** st_dev of files of /dev, as /proc/PID/maps prints it. */
const DEVTMPFS = { major: 0, minor: 5 };
/** The inode that the first device has in /dev; those after it count on. */
const FIRST_INODE = 100;

export class DaxFile implements FileObject {
  readonly dax: DevDax;
  readonly writable: boolean;
  readonly device: FileObject["device"] = DEVTMPFS;
  readonly vmOps: VmOperations;
  /** Frames and pages mixed, as before 4.19 (e1fb4a086495): generic code leaves such mappings alone. */
  readonly vmFlags: number = VmFlag.MIXEDMAP | VmFlag.HUGEPAGE;
  readonly mmapSupportedFlags: number = MapFlag.SYNC;
  readonly #inode: Inode;

  /** @param inode the device's, which mappings are mappings of */
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
   * @throws KernelError ENXIO when no driver runs the device; EINVAL for a private mapping, and for one whose ends aren't
   *   aligned as the device is
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
