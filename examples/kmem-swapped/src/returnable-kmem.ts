// A kmem whose memory can always be taken back. The kernel's driver adds the memory of a device and leaves the rest to an
// administrator; when it is unbound while a block is online, the memory stays until the next boot. This one brings the memory
// online as movable by itself, and takes it offline when it is unbound: pages in use move to other memory first.
import { type DaxDriver, type DevDax, rangeSize } from "@hetmem/dax";
import { type KmemRange, kmemRanges } from "@hetmem/dax-kmem";
import { KernelError, nodeId, type Sleeps } from "@hetmem/kernel";
import { type MemoryHotplug, onlineBlock } from "@hetmem/zone";

export class ReturnableKmem implements DaxDriver {
  /** daxctl binds devices to the driver of this name. */
  readonly name = "kmem";
  private readonly hotplug: MemoryHotplug;
  private readonly added: Map<DevDax, KmemRange[]> = new Map();

  constructor(hotplug: MemoryHotplug) {
    this.hotplug = hotplug;
  }

  /** A probe that fails must leave nothing behind: the ranges that were added are removed. */
  *probe(device: DevDax): Sleeps<void> {
    const { usable } = kmemRanges(device, this.hotplug.blockSize);
    if (usable.length === 0) throw new KernelError("EINVAL", `${device.name} has no whole memory block`);
    if (device.targetNode < 0) throw new KernelError("EINVAL", `${device.name} has no node`);
    this.added.set(device, []);
    try {
      for (const range of usable) yield* this.add(device, range);
    } catch (error) {
      yield* this.remove(device);
      throw error;
    }
  }

  *remove(device: DevDax): Sleeps<void> {
    for (const range of this.added.get(device) ?? []) {
      try {
        yield* this.hotplug.offlineAndRemoveMemory(range.start, rangeSize(range));
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        // remove() can't fail. A page that can't move keeps its range, and the log says which page.
        device.printk(3, `memory stays: ${error.reason}`);
      }
    }
    this.added.delete(device);
  }

  private *add(device: DevDax, range: KmemRange): Sleeps<void> {
    const { hotplug } = this;
    const size = rangeSize(range);
    yield* hotplug.locks.lockDeviceHotplug();
    try {
      yield* hotplug.addMemory(nodeId(device.targetNode), range.start, size, { name: "System RAM (kmem)" });
      this.added.get(device)?.push(range);
      for (const block of hotplug.blocksIn(range.start, size))
        yield* onlineBlock(hotplug, block, "online_movable");
    } finally {
      hotplug.locks.unlockDeviceHotplug();
    }
  }
}
