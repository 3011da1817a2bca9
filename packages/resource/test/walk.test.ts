import { GiB, MiB, PAGE_SIZE, pfn } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  createIomem,
  findNextIomemRes,
  insertResource,
  iomemIsExclusive,
  iomemMatches,
  IORES_DESC_ACPI_TABLES,
  IORES_DESC_NONE,
  IORES_DESC_PERSISTENT_MEMORY,
  IORESOURCE_BUSY,
  IORESOURCE_EXCLUSIVE,
  IORESOURCE_MEM,
  IORESOURCE_READONLY,
  IORESOURCE_SYSTEM_RAM,
  pageIsRam,
  parseIomem,
  requestRegion,
  Resource,
  resourceIsExclusive,
  walkIomemResDesc,
  walkMemRes,
  walkSystemRamRange,
  walkSystemRamRes,
} from "../src/index.ts";
import { BLOCK, capture, treeWithDevice } from "./trees.ts";

const BUSY_RAM = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY;
const errno = (name: string) => expect.objectContaining({ errno: name });

const ram = (start: number, end: number): Resource =>
  new Resource({ name: "System RAM", start, end, flags: BUSY_RAM });

/** [first frame, frames] of each call of the visitor. */
function framesOfRam(tree: Resource, start: number, nrPages: number): [number, number][] {
  const calls: [number, number][] = [];
  walkSystemRamRange(tree, pfn(start), nrPages, (first, count) => void calls.push([first, count]));
  return calls;
}

describe("walk_system_ram_range", () => {
  test("shows whole pages of the captured host's RAM", () => {
    const tree = parseIomem(capture("nvdimm"));
    expect(framesOfRam(tree, 0, 2 ** 20)).toEqual([
      [1, 0x9f - 1],
      [0x100, 0x7ffde - 0x100],
    ]);
  });

  test("clips what it shows to the frames asked for", () => {
    const tree = parseIomem(capture("nvdimm"));
    expect(framesOfRam(tree, 0x200, 0x10)).toEqual([[0x200, 0x10]]);
  });

  test("finds the RAM that kmem put under its device", () => {
    const { tree } = treeWithDevice(IORESOURCE_SYSTEM_RAM);
    requestRegion(tree, 4 * GiB + BLOCK, BLOCK, "System RAM (kmem)", IORESOURCE_SYSTEM_RAM);
    expect(framesOfRam(tree, 0, (8 * GiB) / PAGE_SIZE)).toEqual([
      [(4 * GiB + BLOCK) / PAGE_SIZE, BLOCK / PAGE_SIZE],
    ]);
  });

  test("does not show RAM twice because something lies in it", () => {
    const tree = parseIomem(capture("baseline"));
    expect(framesOfRam(tree, 0x100, 0x7ff00)).toEqual([[0x100, 0x7fede]]);
  });

  test("finding no RAM is EINVAL, not success", () => {
    const { tree } = treeWithDevice();
    expect(() => walkSystemRamRange(tree, pfn(0), 2 ** 24, () => undefined)).toThrow(errno("EINVAL"));
    expect(() => walkSystemRamRange(tree, pfn(1), 0, () => undefined)).toThrow(errno("EINVAL"));
  });

  test("what the visitor answers ends the walk and is its result", () => {
    const tree = parseIomem(capture("nvdimm"));
    let calls = 0;
    expect(walkSystemRamRange(tree, pfn(0), 2 ** 20, () => ++calls)).toBe(1);
    expect(calls).toBe(1);
  });

  test("a range without a whole page is passed over, but ends the walk where it comes first", () => {
    const tree = createIomem();
    insertResource(tree, ram(0x10000, 0x1ffff));
    insertResource(tree, ram(0x20800, 0x20fff));
    insertResource(tree, ram(0x30000, 0x3ffff));
    expect(framesOfRam(tree, 0, 0x100)).toEqual([
      [0x10, 0x10],
      [0x30, 0x10],
    ]);
    expect(() => framesOfRam(tree, 0x20, 0x100)).toThrow(errno("EINVAL"));
  });
});

describe("walk_iomem_res_desc", () => {
  test("shows each resource with the flags and the descriptor", () => {
    const names: string[] = [];
    const tree = parseIomem(capture("hidden-ram"));
    walkIomemResDesc(
      tree,
      IORES_DESC_ACPI_TABLES,
      IORESOURCE_MEM,
      0,
      tree.end,
      (match) => void names.push(`${match.resource}`),
    );
    expect(names).toEqual(["ACPI Tables [mem 0x7ffde000-0x7fffffff]"]);
  });

  test("no resource with the descriptor is EINVAL, not success", () => {
    const tree = parseIomem(capture("hidden-ram"));
    expect(() =>
      walkIomemResDesc(tree, IORES_DESC_PERSISTENT_MEMORY, IORESOURCE_MEM, 0, tree.end, () => undefined),
    ).toThrow(errno("EINVAL"));
  });

  test("callers to whom none is fine have the matches themselves", () => {
    const tree = parseIomem(capture("hidden-ram"));
    expect([...iomemMatches(tree, 0, tree.end, IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY)]).toEqual([]);
  });

  test("the byte walk of RAM does not round to pages, and the one of memory sees all that is busy", () => {
    const tree = parseIomem(capture("nvdimm"));
    const ends: number[] = [];
    walkSystemRamRes(tree, 0, 0xfffff, ({ end }) => void ends.push(end));
    expect(ends).toEqual([0x9fbff]);
    const names: string[] = [];
    walkMemRes(tree, 0xc0000, 0xfffff, ({ resource }) => void names.push(resource.name));
    expect(names).toEqual(["Video ROM", "Adapter ROM", "Adapter ROM", "Reserved"]);
  });

  test("find_next_iomem_res answers with the lowest match, clipped", () => {
    const tree = parseIomem(capture("nvdimm"));
    const match = findNextIomemRes(
      tree,
      0x8000_0000,
      0x1_2000_0000,
      IORESOURCE_MEM,
      IORES_DESC_PERSISTENT_MEMORY,
    );
    expect(match).toMatchObject({
      start: 0x1_0000_0000,
      end: 0x1_2000_0000,
      resource: { name: "Persistent Memory" },
    });
    const firstByte = findNextIomemRes(tree, 0xa0000, 0xc0000, IORESOURCE_READONLY);
    expect(firstByte).toMatchObject({ start: 0xc0000, end: 0xc0000, resource: { name: "Video ROM" } });
    expect(() => findNextIomemRes(tree, 5, 5, IORESOURCE_MEM, IORES_DESC_NONE)).toThrow(errno("EINVAL"));
  });
});

describe("page_is_ram", () => {
  test("is true only of frames that are RAM from their first byte to their last", () => {
    const tree = parseIomem(capture("nvdimm"));
    expect(
      [0, 1, 0x9e, 0x9f, 0xa0, 0x100, 0x7ffdd, 0x7ffde].filter((frame) => pageIsRam(tree, pfn(frame))),
    ).toEqual([1, 0x9e, 0x100, 0x7ffdd]);
  });

  test("is false of a frame whose first bytes are something else", () => {
    const tree = createIomem();
    insertResource(tree, ram(0x1800, 0x2fff));
    expect([1, 2].map((frame) => pageIsRam(tree, pfn(frame)))).toEqual([false, true]);
  });
});

describe("resource_is_exclusive", () => {
  test("keeps exclusive busy regions, and with IO_STRICT_DEVMEM all busy ones", () => {
    const { tree } = treeWithDevice();
    requestRegion(tree, 4 * GiB, MiB, "open");
    requestRegion(tree, 4 * GiB + MiB, MiB, "closed", IORESOURCE_EXCLUSIVE);
    expect(resourceIsExclusive(tree, 4 * GiB, MiB)).toBe(false);
    expect(resourceIsExclusive(tree, 4 * GiB, MiB, { ioStrictDevmem: true })).toBe(true);
    expect(iomemIsExclusive(tree, pfn((4 * GiB + MiB) / PAGE_SIZE))).toBe(true);
    expect(resourceIsExclusive(tree, 4 * GiB + MiB, MiB, { strictDevmem: false })).toBe(false);
  });

  test("keeps a driver's exclusive RAM range even where nothing is busy", () => {
    const { tree } = treeWithDevice(IORESOURCE_SYSTEM_RAM | IORESOURCE_EXCLUSIVE);
    expect(resourceIsExclusive(tree, 4 * GiB, MiB, { strictDevmem: false })).toBe(true);
    expect(resourceIsExclusive(tree, 6 * GiB, MiB)).toBe(false);
  });
});
