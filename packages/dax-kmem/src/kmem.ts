// kmem: the dax driver that hotplugs a device's memory as System RAM. Devices are bound by name (new_id); their
// memory is added in whole memory blocks to the node that the firmware names. Unbinding removes offline memory;
// online memory stays, and its device can't be bound again, until the next boot. Kernel counterpart:
// drivers/dax/kmem.c.
import { type DaxDriver, type DevDax, formatRange, rangeSize } from "@hetmem/dax";
import { KernelError, type NodeId, nodeId, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { IORESOURCE_SYSTEM_RAM, removeResource, requestRegion, type Resource } from "@hetmem/resource";
import type { MemoryGroup, MemoryHotplug } from "@hetmem/zone";
import { kmemGrouped, type KmemPolicy } from "./kmem-policy.ts";
import { kmemRanges, type KmemRange, withoutBadBlocks } from "./kmem-range.ts";
import "./version.ts";

/** Abstract distance of dax memory: five times DRAM's. @see MEMTIER_DEFAULT_DAX_ADISTANCE */
export const MEMTIER_DEFAULT_DAX_ADISTANCE: number = 576 * 5;

/** Port: stores the abstract distance of a node's memory. MemoryTiers of @hetmem/mm implements it. */
export interface NodeMemoryTypes {
  /** @see init_node_memory_type() */
  setAdistance(node: NodeId, adistance: number): void;
  /** @see clear_node_memory_type() */
  clearAdistance(node: NodeId): void;
}

export interface KmemOptions {
  readonly hotplug: MemoryHotplug;
  readonly memoryTypes: NodeMemoryTypes;
  /** kmemGrouped, the newest, when absent. */
  readonly policy?: KmemPolicy;
}

/** A hotplugged part of a device, and its resource under the device's name in the iomem tree. */
interface AddedRange extends KmemRange {
  readonly resource: Resource;
}

/** @see struct dax_kmem_data */
interface KmemData {
  readonly node: NodeId;
  readonly group: MemoryGroup | undefined;
  readonly added: AddedRange[];
}

export class Kmem implements DaxDriver {
  readonly name = "kmem";
  /** Memory that could not be removed on unbind and stays until the next boot. */
  readonly stuck: KmemRange[] = [];
  readonly #hotplug: MemoryHotplug;
  readonly #memoryTypes: NodeMemoryTypes;
  readonly #policy: KmemPolicy;
  readonly #data = new Map<DevDax, KmemData>();
  /** Number of devices with memory in a node, including stuck ones. */
  readonly #devicesOfNode = new Map<NodeId, number>();

  constructor({ hotplug, memoryTypes, policy = kmemGrouped }: KmemOptions) {
    this.#hotplug = hotplug;
    this.#memoryTypes = memoryTypes;
    this.#policy = policy;
  }

  get keepsMemory(): boolean {
    return !this.#policy.hotremove || !this.#hotplug.hotremove;
  }

  /**
   * Hotplugs the memory of a device. A range that can't be added is skipped when an earlier one was added.
   *
   * @throws KernelError EINVAL without a target node or a whole memory block, EBUSY when the range is reserved
   * already, ENOMEM, and errors of addMemory()
   * @see dev_dax_kmem_probe()
   */
  *probe(device: DevDax): Sleeps<void> {
    const node = targetNode(device);
    const ranges = this.#wholeBlocks(device);
    const usable: KmemRange[] = [];
    for (const range of ranges) usable.push(...(yield* this.#healthyParts(device, range)));
    const pages = usable.reduce((sum, range) => sum + rangeSize(range) / PAGE_SIZE, 0);
    if (pages === 0) {
      device.printk(4, "rejecting DAX region without any memory after alignment");
      throw new KernelError(
        "EINVAL",
        `every memory block of ${device.name} has bad memory that can't be cleared`,
      );
    }
    this.#initMemoryType(node);
    let data: KmemData | undefined;
    try {
      data = this.#makeData(device, node, pages);
      yield* this.#addRanges(device, data, usable);
    } catch (error) {
      if (data?.group) this.#hotplug.groups.unregister(data.group, 0);
      this.#clearMemoryType(node);
      throw error;
    }
    this.#data.set(device, data);
  }

  /**
   * Removes offline memory. Online memory stays for good, since the driver loses the device.
   *
   * @see dev_dax_kmem_remove()
   */
  *remove(device: DevDax): Sleeps<void> {
    const data = this.#data.get(device);
    this.#data.delete(device);
    if (!data) return;
    if (this.keepsMemory) {
      this.stuck.push(...data.added);
      return;
    }
    let left = 0;
    for (const range of data.added) if (!(yield* this.#removeRange(device, range))) left++;
    if (left > 0) return;
    if (data.group) this.#hotplug.groups.unregister(data.group, 0);
    this.#clearMemoryType(data.node);
  }

  /** The hotplugged ranges of a device. */
  rangesOf(device: DevDax): readonly KmemRange[] {
    return this.#data.get(device)?.added ?? [];
  }

  #wholeBlocks(device: DevDax): readonly KmemRange[] {
    const { blockSize } = this.#hotplug;
    const { usable, tooSmall, trimmedBytes } = kmemRanges(device, blockSize);
    for (const range of tooSmall)
      device.printk(6, `mapping${range.mapping}: ${formatRange(range)} too small after alignment`);
    if (usable.length > 0) return usable;
    device.printk(4, "rejecting DAX region without any memory after alignment");
    throw new KernelError(
      "EINVAL",
      `${device.name} has no whole memory block of 0x${blockSize.toString(16)} bytes: all its ${trimmedBytes} bytes would be trimmed`,
    );
  }

  /** Clears the known bad memory of a range. @returns the range without the blocks that could not be cleared */
  *#healthyParts(device: DevDax, range: KmemRange): Sleeps<KmemRange[]> {
    const { poison } = device.region.parent;
    if (!poison) return [range];
    const bad: { start: number; end: number }[] = [];
    // A copy: clearing a range removes it from the provider's list.
    const known = Array.from(poison.badRanges(range.start, rangeSize(range)));
    for (const part of known) {
      const cleared = yield* poison.clearPoison(part.start, rangeSize(part));
      const what = cleared
        ? "bad blocks cleared"
        : "bad blocks can't be cleared: their memory blocks are left out";
      device.printk(cleared ? 6 : 4, `mapping${range.mapping}: ${formatRange(part)} ${what}`);
      if (!cleared) bad.push(part);
    }
    return withoutBadBlocks(range, bad, this.#hotplug.blockSize);
  }

  #makeData(device: DevDax, node: NodeId, pages: number): KmemData {
    device.kernel.faults.point("failslab").alloc(`the data of ${device.name}`);
    const { memoryGroup } = this.#policy;
    const group = memoryGroup
      ? this.#hotplug.groups.register(node, { type: "static", maxPages: pages })
      : undefined;
    return { node, group, added: [] };
  }

  /**
   * A failure after the first added range skips the failing range: added memory may be in use and can't be taken
   * back.
   */
  *#addRanges(device: DevDax, data: KmemData, ranges: readonly KmemRange[]): Sleeps<void> {
    for (const range of ranges) {
      try {
        data.added.push(yield* this.#addRange(device, data, range));
      } catch (error) {
        if (!(error instanceof KernelError) || data.added.length === 0) throw error;
      }
    }
  }

  *#addRange(device: DevDax, { node, group }: KmemData, range: KmemRange): Sleeps<AddedRange> {
    const resource = reserve(device, range);
    const { resourceName: name } = this.#policy;
    yield* this.#hotplug.locks.lockDeviceHotplug();
    try {
      yield* this.#hotplug.addMemory(node, range.start, rangeSize(range), { name, ...(group && { group }) });
    } catch (error) {
      if (error instanceof KernelError)
        device.printk(4, `mapping${range.mapping}: ${formatRange(range)} memory add failed`);
      removeResource(resource);
      throw error;
    } finally {
      this.#hotplug.locks.unlockDeviceHotplug();
    }
    return { ...range, resource };
  }

  /** @returns false when some of the range is online; the range then stays reserved for good */
  *#removeRange(device: DevDax, range: AddedRange): Sleeps<boolean> {
    yield* this.#hotplug.locks.lockDeviceHotplug();
    try {
      yield* this.#hotplug.removeMemory(range.start, rangeSize(range));
      removeResource(range.resource);
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      device.printk(
        3,
        `mapping${range.mapping}: ${formatRange(range)} cannot be hotremoved until the next reboot`,
      );
      this.stuck.push(range);
      return false;
    } finally {
      this.#hotplug.locks.unlockDeviceHotplug();
    }
  }

  /** Sets the abstract distance of a node with its first device. @see init_node_memory_type() */
  #initMemoryType(node: NodeId): void {
    const devices = this.#devicesOfNode.get(node) ?? 0;
    if (devices === 0) this.#memoryTypes.setAdistance(node, MEMTIER_DEFAULT_DAX_ADISTANCE);
    this.#devicesOfNode.set(node, devices + 1);
  }

  /** Clears the abstract distance of a node with its last device. @see clear_node_memory_type() */
  #clearMemoryType(node: NodeId): void {
    const devices = (this.#devicesOfNode.get(node) ?? 1) - 1;
    this.#devicesOfNode.set(node, devices);
    if (devices === 0) this.#memoryTypes.clearAdistance(node);
  }
}

/**
 * The target node. There is no default: slow memory must not be mixed into a node of fast memory.
 *
 * @throws KernelError EINVAL when the firmware doesn't name a node
 */
function targetNode(device: DevDax): NodeId {
  if (device.targetNode >= 0) return nodeId(device.targetNode);
  device.printk(4, `rejecting DAX region with invalid node: ${device.targetNode}`);
  throw new KernelError("EINVAL", `the firmware doesn't say which node the memory of ${device.name} is`);
}

/** Reserves the range under the device's name. The resource isn't busy, so that System RAM can be added inside. */
function reserve(device: DevDax, range: KmemRange): Resource {
  const { bus, name } = device;
  let resource: Resource;
  try {
    resource = requestRegion(bus.iomem, range.start, rangeSize(range), name);
  } catch (error) {
    if (error instanceof KernelError)
      device.printk(4, `mapping${range.mapping}: ${formatRange(range)} could not reserve region`);
    throw error;
  }
  // Replaces the flags inherited from the parent resource, and clears IORESOURCE_BUSY.
  resource.flags = IORESOURCE_SYSTEM_RAM;
  return resource;
}
