// A device that computes, bound to its driver. The machine opens it for a process at the first request, and closes it when the
// process ends. Kernel counterparts: open and release of struct file_operations.
import {
  type DeviceContext,
  type GpuDescription,
  type GpuDevice,
  GpuDeviceFile,
  type GpuDriver,
} from "@hetmem/gpu/driver";
import { type Kernel, KernelError, Mutex, type Sleeps } from "@hetmem/kernel";
import { mmgetNotZero, mmput, type MmStruct, type Process } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";

export interface MachineGpuInit {
  readonly kernel: Kernel;
  readonly description: GpuDescription;
  /** The number of the device among the machine's. */
  readonly minor: number;
  readonly driver: GpuDriver;
  readonly device: GpuDevice;
}

export class MachineGpu {
  readonly description: GpuDescription;
  readonly driver: GpuDriver;
  readonly device: GpuDevice;
  /** /dev/gpu0. */
  readonly file: FileObject;
  private readonly open: Map<MmStruct, DeviceContext> = new Map();
  /** Held while the device is opened, so that a process gets one context. */
  private readonly opening: Mutex;

  constructor({ kernel, description, minor, driver, device }: MachineGpuInit) {
    this.description = description;
    this.driver = driver;
    this.device = device;
    this.file = new GpuDeviceFile(description.name, minor, device);
    this.opening = new Mutex(kernel.lockdep, `open of ${description.name}`);
  }

  get name(): string {
    return this.description.name;
  }

  /** Open contexts, one for each address space. */
  get contexts(): ReadonlyMap<MmStruct, DeviceContext> {
    return this.open;
  }

  /**
   * Opens the device for a process, whose memory the device mirrors from then on until the process ends.
   *
   * @throws KernelError ESRCH, and the errors of GpuDevice.open()
   */
  *contextOf(process: Process): Sleeps<DeviceContext> {
    const { mm, pid } = process;
    if (!mm) throw new KernelError("ESRCH", `process ${pid} has exited`);
    const opened = this.open.get(mm);
    if (opened) return opened;
    // A process that opens a device itself can't end meanwhile. Here the shell opens it in its place.
    if (!mmgetNotZero(mm)) throw new KernelError("ESRCH", `mm ${mm.id} has ended`);
    try {
      yield* this.opening.lock();
      try {
        return this.open.get(mm) ?? (yield* this.openFor(process, mm));
      } finally {
        this.opening.unlock();
      }
    } finally {
      yield* mmput(mm);
    }
  }

  private *openFor(process: Process, mm: MmStruct): Sleeps<DeviceContext> {
    const context = yield* this.device.open(mm);
    if (!process.mm) {
      // The process has closed its files meanwhile, and would never close this one.
      yield* context.close();
      throw new KernelError("ESRCH", `process ${process.pid} has exited`);
    }
    this.open.set(mm, context);
    process.closing.add(() => this.close(mm, context));
    return context;
  }

  private *close(mm: MmStruct, context: DeviceContext): Sleeps<void> {
    this.open.delete(mm);
    yield* context.close();
  }
}
