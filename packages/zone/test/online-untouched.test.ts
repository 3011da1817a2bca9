// Memory that goes online and that nobody has looked at: free, counted, and without a struct page that is written.
import { GiB, MiB, nodeId, type Page, type Pfn } from "@hetmem/kernel";
import { PageFlag, SectionFlag } from "@hetmem/page";
import { expect, test } from "vitest";
import {
  GFP_HIGHUSER_MOVABLE,
  MAX_ORDER,
  memoryInvariants,
  MigrateType,
  type Zone,
  ZoneType,
} from "../src/index.ts";
import { hotplugMachine, type HotplugMachine } from "@hetmem/test-machines/hotplug-machine";

const BLOCK = 128 * MiB;
const START = 4 * GiB;
const FIRST = 32;
const LARGEST = MAX_ORDER - 1;

/** Blocks that are online in zone Movable, in the order given. */
function online(...blocks: readonly number[]): HotplugMachine & { readonly movable: Zone } {
  const machine = hotplugMachine();
  for (const block of blocks.toSorted()) machine.add(START + (block - FIRST) * BLOCK);
  for (const block of blocks) machine.online(block, "online_movable");
  return { ...machine, movable: machine.memory.nodes[0]?.zones[ZoneType.Movable] as Zone };
}

function broken({ memory }: HotplugMachine): string[] {
  return memoryInvariants.flatMap(({ name, check }) => [...check(memory)].map((what) => `${name}: ${what}`));
}

function blockOf({ memory }: HotplugMachine, page: Page): number {
  return Math.floor(memory.memmap.pageToPfn(page) / 32_768);
}

test("what is added is written when somebody looks at it: reserved, without references, of no zone", () => {
  const machine = hotplugMachine();
  machine.add(START);
  const { memmap } = machine.memory;
  expect(memmap.isDeferred(FIRST)).toBe(true);
  const page = memmap.pfnToPage((START / 4096) as Pfn);
  expect([memmap.test(page, PageFlag.reserved), memmap.refcount(page), memmap.isDeferred(FIRST)]).toEqual([
    true,
    0,
    false,
  ]);
});

test("it counts as free blocks of the largest order, and no struct page is written", () => {
  const machine = online(32, 33);
  const { movable, memory } = machine;
  expect([movable.managedPages, movable.freePages, movable.deferred.pages]).toEqual(Array(3).fill(65_536));
  expect(movable.deferred.blocks(LARGEST, MigrateType.Movable)).toBe(64);
  expect(movable.isolatedPageblocks).toBe(0);
  expect([32, 33].map((section) => memory.memmap.sections.has(section, SectionFlag.initialised))).toEqual([
    false,
    false,
  ]);
  expect(broken(machine)).toEqual([]);
});

test("a block that somebody has looked at counts the same", () => {
  const machine = hotplugMachine();
  machine.add(START);
  machine.memory.memmap.pfnToPage((START / 4096) as Pfn);
  machine.online(FIRST, "online_movable");
  const movable = machine.memory.nodes[0]?.zones[ZoneType.Movable] as Zone;
  expect([movable.freePages, movable.deferred.pages, movable.isolatedPageblocks]).toEqual([32_768, 0, 0]);
  expect(broken(machine)).toEqual([]);
});

test("blocks are used in the order in which they went online, each from its start", () => {
  const machine = online(34, 32, 33);
  const { allocator } = machine.memory;
  const used = Array.from({ length: 80 }, () =>
    allocator.allocPages(GFP_HIGHUSER_MOVABLE, LARGEST, nodeId(0)),
  );
  const blocks = used.map((page) => blockOf(machine, page));
  expect(blocks).toEqual([34, 32, 33].flatMap((block) => Array(block === 33 ? 16 : 32).fill(block)));
  expect(used.slice(0, 2).map((page) => machine.memory.memmap.pageToPfn(page) % 32_768)).toEqual([0, 1024]);
  expect(broken(machine)).toEqual([]);
});

test("a block goes offline untouched, the others stay as they were, and it can come back", () => {
  const machine = online(32, 33, 34);
  machine.offline(33);
  expect([machine.movable.managedPages, machine.movable.freePages]).toEqual([65_536, 65_536]);
  expect(machine.movable.deferred.sections()).toEqual([32, 34]);
  expect(broken(machine)).toEqual([]);
  machine.online(33, "online_movable");
  expect(machine.movable.freePages).toBe(3 * 32_768);
  expect(broken(machine)).toEqual([]);
});
