// The file of a device in /dev, for mmap(). A machine makes one for each device; the driver fills the mappings. Kernel
// counterpart: a character device, cdev_device_add().
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Vma, VmOperations } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import type { GpuDevice } from "./gpu-driver.ts";

/** Major number for local use. @see LOCAL/EXPERIMENTAL in admin-guide/devices.txt */
const MAJOR = 240;

export class GpuDeviceFile implements FileObject {
  readonly path: string;
  readonly inode: number;
  readonly device: FileObject["device"];
  readonly writable: boolean = true;
  readonly mapping: undefined = undefined;
  readonly vmOps: VmOperations = {};
  private readonly gpu: GpuDevice;

  /**
   * @param name "gpu0", for /dev/gpu0
   * @param minor the number of the device among the machine's
   */
  constructor(name: string, minor: number, gpu: GpuDevice) {
    this.path = `/dev/${name}`;
    this.inode = minor + 1;
    this.device = { major: MAJOR, minor };
    this.gpu = gpu;
  }

  /** @throws KernelError ENODEV when the driver has no mmap(), and the driver's errors @see mmap_region() */
  mmap(vma: Vma): void | Sleeps<void> {
    if (this.gpu.mmap) return this.gpu.mmap(vma);
    throw new KernelError("ENODEV", `${this.path} can't be mapped: its driver has no mmap()`);
  }
}
