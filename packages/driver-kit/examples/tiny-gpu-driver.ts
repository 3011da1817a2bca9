// The driver of tiny-gpu.ts as a machine takes it, for devices with private memory. A device serves one process at a time. Its
// memory is plugged in when a process opens it, and unplugged when the next one does, or when the driver is unbound.
import type { DeviceContext, DeviceMapping, GpuDevice, GpuDriver, GpuMemory } from "@hetmem/gpu/driver";
import { HmmPfn } from "@hetmem/hmm-mirror";
import { KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import { mmuIntervalNotifierRemove } from "@hetmem/mmu-notifier";
import { releaseResource } from "@hetmem/resource";
import { TinyGpu } from "./tiny-gpu.ts";

/** Bytes of the range that a TinyGpu asks for. */
const SIZE_MAX = 2 ** 21;

/** @param Driver TinyGpu, or a class that extends it */
export function tinyGpuDriver(Driver: typeof TinyGpu = TinyGpu): GpuDriver {
  return {
    name: "tiny",
    match: ({ memory, size }) => memory === "private" && size <= SIZE_MAX,
    *probe({ vm, pagemaps }, { name, size }) {
      const pages = size / PAGE_SIZE;
      return new TinyDevice(name, pages, () => new Driver(vm, pagemaps, pages));
    },
  };
}

export class TinyDevice implements GpuDevice {
  private readonly name: string;
  private readonly pages: number;
  private readonly create: () => TinyGpu;
  private gpu: TinyGpu | undefined = undefined;

  constructor(name: string, pages: number, create: () => TinyGpu) {
    [this.name, this.pages, this.create] = [name, pages, create];
  }

  get memory(): GpuMemory {
    const freePages = this.gpu?.free.length ?? this.pages;
    return { pagemap: this.gpu?.pagemap, usedPages: this.pages - freePages, freePages };
  }

  *open(mm: MmStruct): Sleeps<DeviceContext> {
    if (this.gpu?.notifier.mm) throw new KernelError("EBUSY", `${this.name} serves another process: end it`);
    yield* this.remove();
    const gpu = this.create();
    try {
      yield* gpu.bind(mm);
    } catch (error) {
      releaseResource(gpu.region);
      throw error;
    }
    this.gpu = gpu;
    return new TinyContext(gpu);
  }

  *evict(): Sleeps<number> {
    const { usedPages } = this.memory;
    yield* this.gpu?.evict() ?? [];
    return usedPages - this.memory.usedPages;
  }

  *remove(): Sleeps<void> {
    yield* this.gpu?.unbind() ?? [];
    this.gpu = undefined;
  }
}

class TinyContext implements DeviceContext {
  private readonly gpu: TinyGpu;

  constructor(gpu: TinyGpu) {
    this.gpu = gpu;
  }

  get mirroredPages(): number {
    return this.gpu.table.size;
  }

  read(address: VirtAddr, into: Uint8Array): Sleeps<void> {
    return this.byPage(address, into, false);
  }

  write(address: VirtAddr, from: Uint8Array): Sleeps<void> {
    return this.byPage(address, from, true);
  }

  *migrateTo(address: VirtAddr, length: number): Sleeps<number> {
    const { free } = this.gpu;
    const before = free.length;
    yield* this.gpu.toDevice(address, (address + length) as VirtAddr);
    return before - free.length;
  }

  lookup(address: VirtAddr): DeviceMapping | undefined {
    const entry = this.gpu.table.get(address - (address % PAGE_SIZE));
    return entry && { page: entry.page, write: (entry.flags & HmmPfn.write) !== 0 };
  }

  *close(): Sleeps<void> {
    if (this.gpu.notifier.mm) yield* mmuIntervalNotifierRemove(this.gpu.notifier);
    this.gpu.table.clear();
  }

  /** The engine of TinyGpu accesses one page at a time. */
  private *byPage(address: VirtAddr, bytes: Uint8Array, write: boolean): Sleeps<void> {
    for (let done = 0; done < bytes.length;) {
      const at = (address + done) as VirtAddr;
      const end = Math.min(bytes.length, done + PAGE_SIZE - (at % PAGE_SIZE));
      yield* this.gpu.access(at, bytes.subarray(done, end), write);
      done = end;
    }
  }
}
