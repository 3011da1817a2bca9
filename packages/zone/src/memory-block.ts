// A memory block: the unit of memory that is added, onlined, offlined and removed, and that
// /sys/devices/system/memory lists. Kernel counterpart: struct memory_block in drivers/base/memory.c.
import { KernelError, type NodeId, PAGE_SIZE, type Pfn, type Sleeps } from "@hetmem/kernel";
import { PAGES_PER_SECTION, SectionFlag, sectionOfPfn } from "@hetmem/page";
import type { MemoryGroup } from "./memory-group.ts";
import type { MemoryHotplug } from "./memory-hotplug.ts";
import { adjustPresentPageCount, offlinePages, onlinePages } from "./online-pages.ts";
import type { OnlineType, PlacementRequest } from "./placement.ts";
import { zonesToList, zoneToOnline } from "./placement-answer.ts";
import type { Zone } from "./zone.ts";
import { MigrateType } from "./zone-type.ts";
import { movePfnRangeToZone, removePfnRangeFromZone } from "./zone-span.ts";

export type BlockState = "online" | "going-offline" | "offline";

export interface MemoryBlock {
  /** Number of the block: its first frame divided by the frames of a block. */
  readonly id: number;
  readonly start: Pfn;
  readonly pages: number;
  /** The block's node; the last one when a block has boot memory of several nodes. */
  readonly node: NodeId;
  /** Every node with memory in the block. */
  readonly nodes: readonly NodeId[];
  readonly group: MemoryGroup | undefined;
  /** Frames at the block's start that hold its own struct pages; 0 without memmap_on_memory. */
  readonly vmemmapPages: number;
  state: BlockState;
  /**
   * The zone of an online block. Undefined while offline, and when the block spans several zones: such a block can't
   * go offline.
   */
  zone: Zone | undefined;
}

/**
 * Onlines a block into the zone that the placement policy chooses. The caller holds device_hotplug_lock. An online
 * block isn't changed. The policy is asked before anything is.
 *
 * @returns whether the block changed its state
 * @throws KernelError EINVAL when the policy forbids the request, an errno of the policy's own, or the error of a
 * notifier that refuses
 * @throws KernelBug for a zone that the block can't be in, or any other error of the policy, which the message names
 * @see memory_block_online()
 */
export function* onlineBlock(hotplug: MemoryHotplug, block: MemoryBlock, type: OnlineType): Sleeps<boolean> {
  hotplug.locks.assertDeviceHotplug("memory_block_online");
  if (block.state === "online") return false;
  yield* hotplug.locks.memHotplugBegin();
  try {
    const zone = zoneToOnline(hotplug.placement, hotplug.memory, type, placementRequest(block));
    if (!zone) {
      throw new KernelError(
        "EINVAL",
        `memory${block.id} can't go ${type}: the placement policy "${hotplug.placement.name}" forbids it (valid_zones lists what is allowed)`,
      );
    }
    yield* onlineInZone(hotplug, block, zone);
    block.zone = zone;
    block.state = "online";
  } finally {
    hotplug.locks.memHotplugDone();
  }
  hotplug.uevent("online", block);
  return true;
}

/**
 * Takes a block offline. The caller holds device_hotplug_lock. An offline block isn't changed.
 *
 * @returns whether the block changed its state
 * @throws KernelError EINVAL for a block with holes or of several zones, EBUSY for a page that can't be moved, which
 * the message names
 * @see memory_block_offline()
 */
export function* offlineBlock(hotplug: MemoryHotplug, block: MemoryBlock): Sleeps<boolean> {
  hotplug.locks.assertDeviceHotplug("memory_block_offline");
  if (block.state === "offline") return false;
  if (!hotplug.hotremove)
    throw new KernelError(
      "EINVAL",
      `memory${block.id} can't go offline: this kernel has no CONFIG_MEMORY_HOTREMOVE`,
    );
  const { zone } = block;
  if (!zone)
    throw new KernelError("EINVAL", `memory${block.id} spans several zones or nodes and can't go offline`);
  block.state = "going-offline";
  yield* hotplug.locks.memHotplugBegin();
  try {
    yield* offlineFromZone(hotplug, block, zone);
    block.zone = undefined;
    block.state = "offline";
  } catch (error) {
    block.state = "online";
    throw error instanceof KernelError
      ? new KernelError(error.errno, `memory${block.id} cannot go offline: ${error.reason}`)
      : error;
  } finally {
    hotplug.locks.memHotplugDone();
  }
  hotplug.uevent("offline", block);
  return true;
}

/**
 * Checks that a block is offline.
 *
 * @throws KernelError EBUSY when it isn't, which is logged
 * @see check_memblock_offlined_cb()
 */
export function checkOffline({ memory }: MemoryHotplug, { id, start, pages, state }: MemoryBlock): void {
  if (state === "offline") return;
  const first = start * PAGE_SIZE;
  const range = `[${phys(first)}-${phys(first + pages * PAGE_SIZE - 1)}]`;
  memory.kernel.log.printk(4, `removing memory fails, because memory ${range} is onlined`);
  throw new KernelError("EBUSY", `memory${id} is ${state}: write offline to its state first`);
}

/**
 * The zones in the block's valid_zones file: the zone of an online block, else those that it may go to.
 *
 * @throws KernelBug for a zone that the block can't be in, or an error of the placement policy, which the message names
 * @see valid_zones_show()
 */
export function validZones(hotplug: MemoryHotplug, block: MemoryBlock): readonly Zone[] {
  if (block.state === "online") return block.zone ? [block.zone] : [];
  return zonesToList(hotplug.placement, hotplug.memory, placementRequest(block));
}

/** Onlines the block's pages. Frames that hold its own struct pages join the same zone. @see memory_block_online() */
function* onlineInZone(hotplug: MemoryHotplug, block: MemoryBlock, zone: Zone): Sleeps<void> {
  const { start, pages, group, vmemmapPages } = block;
  const { memory } = hotplug;
  if (vmemmapPages > 0) movePfnRangeToZone(memory, zone, start, vmemmapPages, MigrateType.Unmovable);
  try {
    yield* onlinePages(hotplug, (start + vmemmapPages) as Pfn, pages - vmemmapPages, zone, group);
  } catch (error) {
    if (vmemmapPages > 0) removePfnRangeFromZone(memory, zone, start, vmemmapPages);
    throw error;
  }
  if (vmemmapPages === 0) return;
  adjustPresentPageCount(memory, zone, start, group, vmemmapPages);
  for (
    let frame = start;
    frame + PAGES_PER_SECTION <= start + vmemmapPages;
    frame = (frame + PAGES_PER_SECTION) as Pfn
  ) {
    memory.memmap.sections.set(sectionOfPfn(frame), SectionFlag.online);
  }
}

function* offlineFromZone(hotplug: MemoryHotplug, block: MemoryBlock, zone: Zone): Sleeps<void> {
  const { start, pages, group, vmemmapPages } = block;
  const { memory } = hotplug;
  adjustPresentPageCount(memory, zone, start, group, -vmemmapPages);
  try {
    yield* offlinePages(hotplug, (start + vmemmapPages) as Pfn, pages - vmemmapPages, zone, group);
  } catch (error) {
    adjustPresentPageCount(memory, zone, start, group, vmemmapPages);
    throw error;
  }
  if (vmemmapPages > 0) removePfnRangeFromZone(memory, zone, start, vmemmapPages);
}

function placementRequest({ node, start, pages, group }: MemoryBlock): PlacementRequest {
  return { node, start, pages, group };
}

/** Formats a physical address as `%pa` does. */
function phys(address: number): string {
  return `0x${address.toString(16).padStart(16, "0")}`;
}
