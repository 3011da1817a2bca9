// A memory block: what an administrator adds, onlines, offlines and removes, and what /sys/devices/system/memory lists.
// Kernel counterpart: struct memory_block in drivers/base/memory.c.
import { KernelError, type NodeId, PAGE_SIZE, type Pfn, type Sleeps } from "@hetmem/kernel";
import { PAGES_PER_SECTION, SectionFlag, sectionOfPfn } from "@hetmem/page";
import type { MemoryGroup } from "./memory-group.ts";
import type { MemoryHotplug } from "./memory-hotplug.ts";
import { adjustPresentPageCount, offlinePages, onlinePages } from "./online-pages.ts";
import type { OnlineType, PlacementRequest } from "./placement.ts";
import type { Zone } from "./zone.ts";
import { MigrateType } from "./zone-type.ts";
import { movePfnRangeToZone, removePfnRangeFromZone } from "./zone-span.ts";

export type BlockState = "online" | "going-offline" | "offline";

export interface MemoryBlock {
  /** Number of the block: its first frame divided by the frames of a block. */
  readonly id: number;
  readonly start: Pfn;
  readonly pages: number;
  /** The node it is under; the last one for a block that boot memory of two nodes shares. */
  readonly node: NodeId;
  /** Every node that has memory in it. */
  readonly nodes: readonly NodeId[];
  readonly group: MemoryGroup | undefined;
  /** Frames at its start that hold its own struct pages. */
  readonly vmemmapPages: number;
  state: BlockState;
  /** The one zone that an online block is in; undefined when it spans several, and then it stays online. */
  zone: Zone | undefined;
}

/**
 * Onlines a block into the zone that the placement policy chooses. An online block is left as it is.
 *
 * @returns whether the block changed its state
 * @throws KernelError EINVAL when the policy forbids the request, or what a notifier that refuses gives
 * @see memory_block_online()
 */
export function* onlineBlock(hotplug: MemoryHotplug, block: MemoryBlock, type: OnlineType): Sleeps<boolean> {
  hotplug.locks.assertDeviceHotplug("memory_block_online");
  if (block.state === "online") return false;
  yield* hotplug.locks.memHotplugBegin();
  try {
    const zone = hotplug.placement.zoneFor(hotplug.memory, type, placementRequest(block));
    if (!zone) {
      throw new KernelError(
        "EINVAL",
        `memory${block.id} can't go ${type}: zones would overlap or stand in the wrong order (valid_zones lists what is allowed)`,
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
 * Takes a block offline. An offline block is left as it is.
 *
 * @returns whether the block changed its state
 * @throws KernelError EINVAL for a block with holes or of several zones, EBUSY that names the page which can't go
 * @see memory_block_offline()
 */
export function* offlineBlock(hotplug: MemoryHotplug, block: MemoryBlock): Sleeps<boolean> {
  hotplug.locks.assertDeviceHotplug("memory_block_offline");
  if (block.state === "offline") return false;
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

/** @throws KernelError EBUSY for a block that can't be removed, which is logged @see check_memblock_offlined_cb() */
export function checkOffline({ memory }: MemoryHotplug, { id, start, pages, state }: MemoryBlock): void {
  if (state === "offline") return;
  const first = start * PAGE_SIZE;
  const range = `[${phys(first)}-${phys(first + pages * PAGE_SIZE - 1)}]`;
  memory.kernel.log.printk(4, `removing memory fails, because memory ${range} is onlined`);
  throw new KernelError("EBUSY", `memory${id} is ${state}: write offline to its state first`);
}

/** What valid_zones lists: the zone of an online block, else those it may go to. @see valid_zones_show() */
export function validZones(hotplug: MemoryHotplug, block: MemoryBlock): readonly Zone[] {
  if (block.state === "online") return block.zone ? [block.zone] : [];
  return hotplug.placement.validZones(hotplug.memory, placementRequest(block));
}

/** Struct pages at the block's start go with it, into the same zone. */
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

/** As `%pa` prints a physical address. */
function phys(address: number): string {
  return `0x${address.toString(16).padStart(16, "0")}`;
}
