// A device that computes, bound to its driver. The machine opens it for a process at the first request, and closes it when the
// process ends and its last request is over. Kernel counterparts: open, release and ioctl of struct file_operations, and the
// references that the VFS holds for them.
import {
  type DeviceContext,
  type GpuDescription,
  type GpuDevice,
  GpuDeviceFile,
  type GpuDriver,
} from "@hetmem/gpu/driver";
import { type Kernel, KernelError, Mutex, type Sleeps, WaitQueue } from "@hetmem/kernel";
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

/** The open file of a process. */
interface OpenDevice {
  readonly context: DeviceContext;
  /** Requests that run. */
  running: number;
  readonly idle: WaitQueue;
}

export class MachineGpu {
  readonly description: GpuDescription;
  readonly driver: GpuDriver;
  readonly device: GpuDevice;
  /** /dev/gpu0. */
  readonly file: FileObject;
  private readonly open: Map<MmStruct, OpenDevice> = new Map();
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
    return new Map(Array.from(this.open, ([mm, { context }]) => [mm, context]));
  }

  /**
   * Runs a request of a process. The first opens the device for it, which mirrors the memory of the process from then on until the
   * process ends. While a request runs, the address space doesn't end, and the context isn't closed.
   *
   * @throws KernelError ESRCH for a process that has exited, the errors of GpuDevice.open(), and those of the request
   */
  *request<T>(process: Process, body: (context: DeviceContext) => Sleeps<T>): Sleeps<T> {
    const { mm, pid } = process;
    if (!mm) throw new KernelError("ESRCH", `process ${pid} has exited`);
    // A process that makes a request itself can't end meanwhile. Here the shell makes it in its place.
    if (!mmgetNotZero(mm)) throw new KernelError("ESRCH", `mm ${mm.id} has ended`);
    try {
      const opened = this.open.get(mm) ?? (yield* this.openOnce(process, mm));
      opened.running++;
      try {
        return yield* body(opened.context);
      } finally {
        opened.running--;
      }
    } finally {
      yield* mmput(mm);
    }
  }

  private *openOnce(process: Process, mm: MmStruct): Sleeps<OpenDevice> {
    yield* this.opening.lock();
    try {
      return this.open.get(mm) ?? (yield* this.openFor(process, mm));
    } finally {
      this.opening.unlock();
    }
  }

  private *openFor(process: Process, mm: MmStruct): Sleeps<OpenDevice> {
    const context = yield* this.device.open(mm);
    if (!process.mm) {
      // The process has closed its files meanwhile, and would never close this one.
      yield* context.close();
      throw new KernelError("ESRCH", `process ${process.pid} has exited`);
    }
    const idle = new WaitQueue(`the last request to ${this.name} for mm ${mm.id}`);
    const opened: OpenDevice = { context, running: 0, idle };
    this.open.set(mm, opened);
    process.closing.add(() => this.close(mm, opened));
    return opened;
  }

  private *close(mm: MmStruct, opened: OpenDevice): Sleeps<void> {
    this.open.delete(mm);
    yield* opened.idle.waitEvent(() => opened.running === 0);
    yield* opened.context.close();
  }
}
