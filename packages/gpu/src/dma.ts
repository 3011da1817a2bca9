// The engine that copies between the memory of the machine and that of the device: how long it takes, and that it fails
// when the device dies or is reset meanwhile. The bytes move when the copy begins: what anybody still writes into the old
// page afterwards is lost, and a test that reads it back sees that. Kernel counterpart: none, a driver's own (nouveau_dmem_copy_one()
// in drivers/gpu/drm/nouveau/nouveau_dmem.c).
import { condResched, KernelBug, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { describePage } from "@hetmem/page";

/** What the bus costs, in simulated nanoseconds. */
export interface DmaLatency {
  /** To program one copy and hear that it is done. */
  readonly setupNs: number;
  /** Per KiB that is copied. */
  readonly kibNs: number;
  /** Until the device's TLB has forgotten a range. */
  readonly flushNs: number;
}

/** Everything is there at once: paths don't even yield. */
export const noLatency: DmaLatency = { setupNs: 0, kibNs: 0, flushNs: 0 };

/** A device on sixteen lanes of PCI Express 4: 25 GB/s, a microsecond and a half to get going. */
export const pcieLatency: DmaLatency = { setupNs: 1500, kibNs: 41, flushNs: 800 };

export class Dma {
  private readonly vm: Vm;
  private readonly latency: DmaLatency;
  /** Goes up when the device loses what it was doing: a copy that began before has failed. */
  private epoch = 0;

  constructor(vm: Vm, latency: DmaLatency) {
    this.vm = vm;
    this.latency = latency;
  }

  /**
   * Copies pages to others, one for one.
   *
   * @returns false when the device was reset or died meanwhile: nothing of it can be relied on
   * @throws KernelBug for a page that is free: it is somebody else's soon
   */
  *copy(to: Int32Array, from: Int32Array, count: number): Sleeps<boolean> {
    if (count === 0) return true;
    const { epoch } = this;
    for (let i = 0; i < count; i++) {
      expectInUse(this.vm, from[i] as Page);
      expectInUse(this.vm, to[i] as Page);
    }
    this.vm.memmap.contents.copyPages(to, from, count);
    yield* this.wait(this.latency.setupNs + (count * PAGE_SIZE * this.latency.kibNs) / 1024);
    return epoch === this.epoch;
  }

  /** Waits until the device's TLB has forgotten what its page table no longer says. */
  *flushTlb(): Sleeps<void> {
    yield* this.wait(this.latency.flushNs);
  }

  /** The same for who must not sleep. */
  flushTlbAtomic(): void {
    this.vm.kernel.clock.advance(this.latency.flushNs);
  }

  /** The device stops: copies on their way have failed. */
  abort(): void {
    this.epoch++;
  }

  private *wait(ns: number): Sleeps<void> {
    if (ns > 0) yield* this.vm.kernel.clock.sleep(ns);
    else yield condResched;
  }
}

/** @throws KernelBug for a page that nobody holds: what the device writes there is lost, or hits its next user */
export function expectInUse({ devices, memmap }: Vm, page: Page): void {
  const count = memmap.refcount(memmap.compoundHead(page));
  if (count > 1) return;
  // Memory of other kinds, a dax device's, is mapped without being counted.
  const counted = devices.isPrivate(page) || devices.isCoherent(page) || devices.isPublic(page);
  if (count <= (counted ? devices.idleCount(page) : 0))
    throw new KernelBug(`a device reaches for a free page: ${describePage(memmap, page)}`);
}
