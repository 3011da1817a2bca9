// Pageblocks that are taken out of the allocator's reach, and come back.
import { assertInvariants, GiB, nodeId, type Page, type Pfn } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { GFP_HIGHUSER_MOVABLE, memoryInvariants, MigrateType, type Zone, ZoneType } from "../src/index.ts";
import { startIsolatePageRange, undoIsolatePageRange } from "../src/isolation.ts";
import { hotplugMachine } from "@hetmem/test-machines/hotplug-machine";

const HALF = 9;
const HALF_PAGES = 1 << HALF;

test("a pageblock that comes back merges with its neighbour, which was freed in the meantime", () => {
  const machine = hotplugMachine();
  machine.add(4 * GiB);
  machine.online(32, "online_movable");
  const { memory } = machine;
  const { allocator, memmap } = memory;
  const zone = memory.nodes[0]?.zones[ZoneType.Movable] as Zone;

  const used = allocator.allocPages(GFP_HIGHUSER_MOVABLE, HALF, nodeId(0));
  const free = (used ^ HALF_PAGES) as Page;
  const start = memmap.pageToPfn(free);
  const end = (start + HALF_PAGES) as Pfn;
  startIsolatePageRange(memory, zone, start, end, () => false);
  allocator.freePages(used, HALF);
  allocator.drainPcp(zone);
  const orders = (): number[] => [used, free].map((page) => memmap.freeBlockOrder(page, zone.type));
  expect(orders()).toEqual([HALF, HALF]);

  undoIsolatePageRange(memory, zone, start, end, MigrateType.Movable);
  expect(orders()).toContain(HALF + 1);
  assertInvariants(memory, memoryInvariants);
});
