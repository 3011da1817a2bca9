// The driver of docs/ports/dax-driver.md with one mistake each. Every one breaks one obligation, and no other.
import type { DevDax } from "@hetmem/dax";
import { condResched, KernelError, nodeId, physAddr, type Sleeps } from "@hetmem/kernel";
import { IORESOURCE_SYSTEM_RAM, removeResource, requestRegion, type Resource } from "@hetmem/resource";
import { type Range, TinyKmem } from "../examples/tiny-kmem.ts";

/** Throws an Error where a range is taken. */
class ThrowsErrors extends TinyKmem {
  override *probe(device: DevDax): Sleeps<void> {
    try {
      yield* super.probe(device);
    } catch {
      throw new TypeError(`${device.name} is no good`);
    }
  }
}

/** Keeps a range reserved that it couldn't add. */
class KeepsTheRange extends TinyKmem {
  override *add({ bus, name, targetNode }: DevDax, { start, end }: Range): Sleeps<Resource> {
    const resource = requestRegion(bus.iomem, start, end - start + 1, name);
    resource.flags = IORESOURCE_SYSTEM_RAM;
    yield* this.hotplug.locks.lockDeviceHotplug();
    try {
      if (targetNode < 0) throw new KernelError("EINVAL", `the firmware doesn't say which node ${name} is`);
      yield* this.hotplug.addMemory(nodeId(targetNode), start, end - start + 1);
      return resource;
    } finally {
      this.hotplug.locks.unlockDeviceHotplug();
    }
  }
}

/** Keeps the only range of a device reserved, though it is no RAM any more. */
class KeepsTheOnlyRange extends TinyKmem {
  override *remove(device: DevDax): Sleeps<void> {
    const [first, second] = this.added.get(device) ?? [];
    yield* super.remove(device);
    if (first === undefined || second !== undefined) return;
    if (this.hotplug.blocksIn(first.start, first.size).length === 0)
      requestRegion(device.bus.iomem, first.start, first.size, device.name);
  }
}

/** Takes a device once. */
class TakesOnce extends TinyKmem {
  private readonly seen = new Map<DevDax, number>();

  override *probe(device: DevDax): Sleeps<void> {
    const { size } = device;
    if (this.seen.get(device) === size) throw new KernelError("EBUSY", `${device.name} was bound before`);
    yield* super.probe(device);
    this.seen.set(device, size);
  }
}

class TakesTheFirstRange extends TinyKmem {
  override rangesOf(device: DevDax): readonly Range[] {
    return super.rangesOf(device).slice(0, 1);
  }
}

class GivesTheFirstRangeBack extends TinyKmem {
  override *remove(device: DevDax): Sleeps<void> {
    this.added.get(device)?.splice(1);
    yield* super.remove(device);
  }
}

/** Computes the ranges of a device once. */
class RemembersRanges extends TinyKmem {
  private readonly ranges = new Map<DevDax, readonly Range[]>();

  override rangesOf(device: DevDax): readonly Range[] {
    const ranges = this.ranges.get(device) ?? super.rangesOf(device);
    this.ranges.set(device, ranges);
    return ranges;
  }
}

/** Refuses to let go of memory that is online. */
class RefusesToLetGo extends TinyKmem {
  override *remove(device: DevDax): Sleeps<void> {
    for (const { start, size } of this.added.get(device) ?? [])
      if (this.hotplug.blocksIn(start, size).some(({ state }) => state === "online"))
        throw new KernelError("EBUSY", `${device.name} is in use`);
    yield* super.remove(device);
  }
}

/** Waits until all memory of the device is offline. */
class WaitsForTheEnd extends TinyKmem {
  override *remove(device: DevDax): Sleeps<void> {
    for (const { start, size } of this.added.get(device) ?? [])
      while (this.hotplug.blocksIn(start, size).some(({ state }) => state === "online")) yield condResched;
    yield* super.remove(device);
  }
}

/** Releases the range of memory that stays online. */
class ReleasesWhatStays extends TinyKmem {
  override *giveBack(device: DevDax, resource: Resource): Sleeps<void> {
    const [block] = this.hotplug.blocksIn(resource.start, resource.size);
    const isOnline = block?.state === "online" && block.zone?.name === "Normal";
    yield* super.giveBack(device, resource);
    if (isOnline) removeResource(resource);
  }
}

/** Reserves the ranges of devices that it had before, when it lets go of another. */
class ReturnsToOldDevices extends TinyKmem {
  private readonly old: (readonly [device: DevDax, start: number, size: number])[] = [];

  override *remove(device: DevDax): Sleeps<void> {
    const [first] = this.added.get(device) ?? [];
    const [start, size] = [first?.start ?? 0, first?.size ?? 0];
    yield* super.remove(device);
    for (const [other, at, bytes] of this.old)
      if (other !== device && at === start) requestRegion(device.bus.iomem, at, bytes, other.name);
    this.old.push([device, start, size]);
  }
}

/** Has room for the ranges of one device. */
class KnowsOneDevice extends TinyKmem {
  private last: Resource[] = [];

  override *probe(device: DevDax): Sleeps<void> {
    yield* super.probe(device);
    this.last = this.added.get(device) ?? [];
  }

  override *remove(device: DevDax): Sleeps<void> {
    this.added.set(device, this.last);
    yield* super.remove(device);
  }
}

/** Looks whether blocks are offline without the lock, and takes the answer for granted. */
class LooksWithoutTheLock extends TinyKmem {
  override *giveBack(device: DevDax, resource: Resource): Sleeps<void> {
    const { start, size } = resource;
    const canGo = this.hotplug.blocksIn(start, size).every(({ state }) => state === "offline");
    if (!canGo) return;
    yield condResched;
    yield* super.giveBack(device, resource);
    if (this.hotplug.blocksIn(physAddr(start), size).length > 0) removeResource(resource);
  }
}

/** The broken drivers, each with the obligation that it breaks. */
export const BROKEN: readonly (readonly [obligation: string, driver: typeof TinyKmem])[] = [
  ["refuses a device with an errno", ThrowsErrors],
  ["changes nothing when it refuses", KeepsTheRange],
  ["gives back what it took", KeepsTheOnlyRange],
  ["binds again", TakesOnce],
  ["takes each range of a device", TakesTheFirstRange],
  ["takes each range of a device", GivesTheFirstRangeBack],
  ["takes the ranges as they are", RemembersRanges],
  ["lets go while memory is in use", RefusesToLetGo],
  ["lets go while memory is in use", WaitsForTheEnd],
  ["keeps memory that is in use", ReleasesWhatStays],
  ["leaves a device alone that it has given back", ReturnsToOldDevices],
  ["keeps devices apart", KnowsOneDevice],
  ["holds beside hotplug", LooksWithoutTheLock],
];
