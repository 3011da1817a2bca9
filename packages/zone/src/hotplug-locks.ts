// The locks of memory hotplug, outermost first: device_hotplug_lock serialises the operations that sysfs writes and
// drivers start, mem_hotplug_lock excludes readers of the online state, and memory_add_remove_lock protects the
// section table. Kernel counterparts: drivers/base/core.c (lock_device_hotplug), mm/memory_hotplug.c
// (mem_hotplug_begin).
import { type Kernel, KernelBug, Mutex, RwSemaphore, type Sleeps } from "@hetmem/kernel";

export class HotplugLocks {
  readonly #device: Mutex;
  readonly #mem: RwSemaphore;
  readonly #addRemove: Mutex;

  constructor({ lockdep }: Kernel) {
    this.#device = new Mutex(lockdep, "device_hotplug_lock");
    this.#mem = new RwSemaphore(lockdep, "mem_hotplug_lock");
    this.#addRemove = new Mutex(lockdep, "memory_add_remove_lock");
  }

  *lockDeviceHotplug(): Sleeps<void> {
    yield* this.#device.lock();
  }

  unlockDeviceHotplug(): void {
    this.#device.unlock();
  }

  /** @throws KernelBug when the running task doesn't hold device_hotplug_lock @see assert_held_device_hotplug() */
  assertDeviceHotplug(by: string): void {
    if (!this.#device.heldByCurrent)
      throw new KernelBug(`${by} needs device_hotplug_lock: call lockDeviceHotplug() first`);
  }

  /** Takes mem_hotplug_lock for writing and memory_add_remove_lock. @throws KernelBug without device_hotplug_lock */
  *memHotplugBegin(): Sleeps<void> {
    this.assertDeviceHotplug("mem_hotplug_begin");
    yield* this.#mem.downWrite();
    yield* this.#addRemove.lock();
  }

  memHotplugDone(): void {
    this.#addRemove.unlock();
    this.#mem.upWrite();
  }

  /** Whether the running task is between memHotplugBegin() and memHotplugDone(). */
  get changing(): boolean {
    return this.#mem.writtenByCurrent && this.#addRemove.heldByCurrent;
  }

  /** Takes mem_hotplug_lock for reading: online memory stays online until putOnlineMems(). */
  *getOnlineMems(): Sleeps<void> {
    yield* this.#mem.downRead();
  }

  putOnlineMems(): void {
    this.#mem.upRead();
  }
}
