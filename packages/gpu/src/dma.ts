// The engine that copies between the memory of the machine and that of the device: how long it takes, and that it fails
// when the device dies or is reset meanwhile. The bytes move when the copy begins: what anybody still writes into the old
// page afterwards is lost, and a test that reads it back sees that. Kernel counterpart: none, a driver's own (nouveau_dmem_copy_one()
// in drivers/gpu/drm/nouveau/nouveau_dmem.c).
import { condResched, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";

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
   */
  *copy(to: Int32Array, from: Int32Array, count: number): Sleeps<boolean> {
    if (count === 0) return true;
    const { epoch } = this;
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
