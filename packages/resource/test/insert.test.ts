import { assertInvariants, GiB, MiB } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  adjustResource,
  createIomem,
  insertResource,
  insertResourceConflict,
  insertResourceExpandToFit,
  IORESOURCE_BUSY,
  IORESOURCE_MEM,
  requestRegion,
  requestResource,
  reserveRegionWithSplit,
  Resource,
  resourceInvariants,
} from "../src/index.ts";
import { BLOCK, shape, treeWithDevice } from "./trees.ts";

const errno = (name: string) => expect.objectContaining({ errno: name });
const range = (name: string, start: number, size: number) =>
  new Resource({ name, start, end: start + size - 1 });

describe("insert_resource", () => {
  test("goes into what holds it whole, however deep, busy or not", () => {
    const { tree, device } = treeWithDevice(IORESOURCE_MEM | IORESOURCE_BUSY);
    const bar = range("bar", 4 * GiB, BLOCK);
    const register = range("register", 4 * GiB + MiB, MiB);
    insertResource(tree, bar);
    insertResource(tree, register);
    expect([bar.parent, register.parent]).toEqual([device, bar]);
  });

  test("takes what it holds whole as its children and stands in their place", () => {
    const tree = createIomem();
    const [before, low, high, after] = [0, 2, 4, 8].map((at) => range(`at ${at}`, at * MiB, MiB)) as [
      Resource,
      Resource,
      Resource,
      Resource,
    ];
    for (const resource of [before, low, high, after]) requestResource(tree, resource);
    const window = range("window", 2 * MiB, 4 * MiB);
    insertResource(tree, window);
    expect(tree.children).toEqual([before, window, after]);
    expect(window.children).toEqual([low, high]);
    expect(low.parent).toBe(window);
  });

  test("of two equal ranges the later is the parent", () => {
    const { tree, device } = treeWithDevice();
    const bus = range("bus", device.start, device.size);
    insertResource(tree, bus);
    expect(device.parent).toBe(bus);
    expect(tree.children).toEqual([bus]);
  });

  test("a partial overlap fails with EBUSY, names the other and changes nothing", () => {
    const { tree, device } = treeWithDevice();
    const before = shape(tree);
    const across = range("across", 5 * GiB - MiB, 2 * MiB);
    expect(insertResourceConflict(tree, across)).toBe(device);
    expect(() => insertResource(tree, across)).toThrow(errno("EBUSY"));
    expect(() => insertResource(tree, across)).toThrow(`conflicts with ${device}`);
    expect(shape(tree)).toEqual(before);
  });

  test("a partial overlap behind one that would fit changes nothing either", () => {
    const tree = createIomem();
    requestResource(tree, range("fits", 2 * MiB, MiB));
    const sticksOut = range("sticks out", 4 * MiB, 2 * MiB);
    requestResource(tree, sticksOut);
    const before = shape(tree);
    expect(insertResourceConflict(tree, range("window", MiB, 4 * MiB))).toBe(sticksOut);
    expect(shape(tree)).toEqual(before);
  });
});

describe("insert_resource_expand_to_fit", () => {
  test("grows over everything that it overlaps in part", () => {
    const tree = createIomem();
    requestResource(tree, range("low", MiB, 2 * MiB));
    requestResource(tree, range("high", 4 * MiB, 2 * MiB));
    const window = range("window", 2 * MiB, 3 * MiB);
    insertResourceExpandToFit(tree, window);
    expect([window.start, window.end]).toEqual([MiB, 6 * MiB - 1]);
    expect(window.children.map((child) => child.name)).toEqual(["low", "high"]);
    assertInvariants(tree, resourceInvariants);
  });

  test("keeps its range when it can't fit into the tree at all", () => {
    const tree = createIomem(40);
    const past = range("past", 2 ** 40 - MiB, 2 * MiB);
    expect(() => insertResourceExpandToFit(tree, past)).toThrow(errno("EBUSY"));
    expect([past.start, past.end]).toEqual([2 ** 40 - MiB, 2 ** 40 + MiB - 1]);
  });

  test("leaves alone what is in a tree already", () => {
    const { tree, device } = treeWithDevice();
    insertResourceExpandToFit(tree, device);
    expect(tree.children).toEqual([device]);
  });
});

describe("adjust_resource", () => {
  test("moves the ends within the parent and between the siblings", () => {
    const { device } = treeWithDevice();
    const region = requestRegion(device, 4 * GiB, BLOCK, "region");
    adjustResource(region, 4 * GiB + MiB, BLOCK);
    expect([region.start, region.size]).toEqual([4 * GiB + MiB, BLOCK]);
  });

  test.each([
    ["its parent", -MiB, BLOCK],
    ["the sibling above", 0, 2 * BLOCK + 1],
    ["a child", 0, MiB],
  ])("EBUSY when %s doesn't allow it", (_, shift, size) => {
    const { device } = treeWithDevice();
    const region = requestRegion(device, 4 * GiB, BLOCK, "region");
    requestRegion(device, 4 * GiB + 2 * BLOCK, BLOCK, "sibling");
    requestResource(region, range("child", 4 * GiB + MiB, MiB));
    expect(() => adjustResource(region, 4 * GiB + shift, size)).toThrow(errno("EBUSY"));
    expect([region.start, region.size]).toEqual([4 * GiB, BLOCK]);
  });

  test("EBUSY when it would run into the sibling below", () => {
    const { device } = treeWithDevice();
    requestRegion(device, 4 * GiB, BLOCK, "below");
    const region = requestRegion(device, 4 * GiB + BLOCK, BLOCK, "region");
    expect(() => adjustResource(region, 4 * GiB + BLOCK - 1, BLOCK)).toThrow(/below .* is in the way/);
  });
});

describe("reserve_region_with_split", () => {
  test("fills the gaps: how RAM buffer gets around what is there", () => {
    const { tree } = treeWithDevice();
    requestResource(tree, range("hole", 6 * GiB, GiB));
    const pieces = reserveRegionWithSplit(tree, 3 * GiB, 8 * GiB - 1, "RAM buffer");
    expect(pieces.map(({ start, end }) => [start / GiB, (end + 1) / GiB])).toEqual([
      [3, 4],
      [5, 6],
      [7, 8],
    ]);
    expect(pieces.every((piece) => piece.flags === (IORESOURCE_MEM | IORESOURCE_BUSY))).toBe(true);
    assertInvariants(tree, resourceInvariants);
  });

  test("does nothing where all is taken, and stays inside the tree", () => {
    const { tree, device } = treeWithDevice();
    expect(reserveRegionWithSplit(tree, device.start + MiB, device.end, "RAM buffer")).toEqual([]);
    const [last] = reserveRegionWithSplit(tree, 2 ** 40 - MiB, 2 ** 40 + MiB, "RAM buffer");
    expect(last?.end).toBe(tree.end);
  });
});
