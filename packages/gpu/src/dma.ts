// The DMA engine that copies between RAM and device memory: its latency, and its failure when the device is reset or
// lost meanwhile. The bytes are copied at the start, so later writes to the old page are lost, which tests detect by
// reading the data back. Kernel counterpart: specific to each driver (nouveau_dmem_copy_one() in
// drivers/gpu/drm/nouveau/nouveau_dmem.c).
import { condResched, KernelBug, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { describePage } from "@hetmem/page";
import type { DmaLatency } from "./driver/latency.ts";

export class Dma {
  private readonly vm: Vm;
  private readonly latency: DmaLatency;
  /** Incremented by abort(): copies that began in an earlier epoch have failed. */
  private epoch = 0;

  constructor(vm: Vm, latency: DmaLatency) {
    this.vm = vm;
    this.latency = latency;
  }

  /**
   * Copies `count` pages from `from` to `to`.
   *
   * @returns false when the device was reset or lost meanwhile; the destination contents are then undefined
   * @throws KernelBug for a free page
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

  /** Flushes the device's TLB after entries were removed. */
  *flushTlb(): Sleeps<void> {
    yield* this.wait(this.latency.flushNs);
  }

  /** flushTlb() for atomic context. */
  flushTlbAtomic(): void {
    this.vm.kernel.clock.advance(this.latency.flushNs);
  }

  /** Fails all copies in progress. */
  abort(): void {
    this.epoch++;
  }

  private *wait(ns: number): Sleeps<void> {
    if (ns > 0) yield* this.vm.kernel.clock.sleep(ns);
    else yield condResched;
  }
}

/**
 * Checks that a page has users.
 *
 * @throws KernelBug for a free page: device writes to it would corrupt its next user's data
 */
export function expectInUse({ devices, memmap }: Vm, page: Page): void {
  const count = memmap.refcount(memmap.compoundHead(page));
  if (count > 1) return;
  // Other device memory, such as device-dax, is mapped without page references.
  const counted = devices.isPrivate(page) || devices.isCoherent(page) || devices.isPublic(page);
  if (count <= (counted ? devices.idleCount(page) : 0))
    throw new KernelBug(`a device reaches for a free page: ${describePage(memmap, page)}`);
}
