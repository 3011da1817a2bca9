// A driver of the dax bus: the whole memory blocks of a device become RAM of the node that its firmware names. See
// docs/ports/dax-driver.md.
import { type DaxDriver, type DevDax, formatRange } from "@hetmem/dax";
import {
  alignDown,
  alignUp,
  KernelError,
  nodeId,
  type PhysAddr,
  physAddr,
  type Sleeps,
} from "@hetmem/kernel";
import { IORESOURCE_SYSTEM_RAM, removeResource, requestRegion, type Resource } from "@hetmem/resource";
import type { MemoryHotplug } from "@hetmem/zone";

export interface Range {
  readonly start: PhysAddr;
  readonly end: PhysAddr;
}

export class TinyKmem implements DaxDriver {
  readonly name: string = "tiny_kmem";
  readonly hotplug: MemoryHotplug;
  /** The reserved ranges of each bound device, which are RAM. */
  readonly added: Map<DevDax, Resource[]> = new Map();

  constructor(hotplug: MemoryHotplug) {
    this.hotplug = hotplug;
  }

  *probe(device: DevDax): Sleeps<void> {
    const added: Resource[] = [];
    let refused = new KernelError("EINVAL", `${device.name} has no whole memory block`);
    for (const range of this.rangesOf(device)) {
      try {
        added.push(yield* this.add(device, range));
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        device.printk(4, `${formatRange(range)} can't be added`);
        refused = error;
      }
    }
    if (added.length === 0) throw refused;
    this.added.set(device, added);
  }

  *remove(device: DevDax): Sleeps<void> {
    const added = this.added.get(device) ?? [];
    this.added.delete(device);
    for (const resource of added) yield* this.giveBack(device, resource);
  }

  /** Whole memory blocks of each range. */
  rangesOf({ ranges }: DevDax): readonly Range[] {
    const { blockSize } = this.hotplug;
    return ranges
      .map(({ start, end }) => ({
        start: physAddr(alignUp(start, blockSize)),
        end: physAddr(alignDown(end + 1, blockSize) - 1),
      }))
      .filter(({ start, end }) => start < end);
  }

  /** Reserves a range under the device's name, and adds it. A range that can't be added isn't reserved afterwards. */
  *add({ bus, name, targetNode }: DevDax, { start, end }: Range): Sleeps<Resource> {
    if (targetNode < 0) throw new KernelError("EINVAL", `the firmware doesn't say which node ${name} is`);
    const resource = requestRegion(bus.iomem, start, end - start + 1, name);
    // Not busy: System RAM goes inside.
    resource.flags = IORESOURCE_SYSTEM_RAM;
    yield* this.hotplug.locks.lockDeviceHotplug();
    try {
      yield* this.hotplug.addMemory(nodeId(targetNode), start, end - start + 1);
      return resource;
    } catch (error) {
      removeResource(resource);
      throw error;
    } finally {
      this.hotplug.locks.unlockDeviceHotplug();
    }
  }

  /** Removes a range; while a block of it is online it stays, and stays reserved, so that no driver takes it. */
  *giveBack(device: DevDax, resource: Resource): Sleeps<void> {
    yield* this.hotplug.locks.lockDeviceHotplug();
    try {
      yield* this.hotplug.removeMemory(physAddr(resource.start), resource.size);
      removeResource(resource);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      device.printk(3, `${formatRange(resource)} stays RAM until the next reboot: ${error.reason}`);
    } finally {
      this.hotplug.locks.unlockDeviceHotplug();
    }
  }
}
