import { assertInvariants, GiB, KernelBug, MiB } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createIomem,
  insertResource,
  iomemMatches,
  IORESOURCE_BUSY,
  IORESOURCE_IO,
  IORESOURCE_SYSRAM_DRIVER_MANAGED,
  IORESOURCE_SYSTEM_RAM,
  mergeSystemRamResource,
  releaseMemRegionAdjustable,
  requestRegion,
  Resource,
  resourceInvariants,
  type ResourceTree,
} from "../src/index.ts";
import { BLOCK, shape, treeWithDevice } from "./trees.ts";

const BASE = 4 * GiB;

function addRam(tree: ResourceTree, block: number, count = 1, name = "System RAM"): Resource {
  const managed = name === "System RAM" ? 0 : IORESOURCE_SYSRAM_DRIVER_MANAGED;
  return requestRegion(tree, BASE + block * BLOCK, count * BLOCK, name, IORESOURCE_SYSTEM_RAM | managed);
}

/** Blocks above BASE that a range's resources cover, one entry a resource. */
function blocks(parent: Resource): [from: number, to: number][] {
  return parent.children.map(({ start, end }) => [(start - BASE) / BLOCK, (end + 1 - BASE) / BLOCK]);
}

describe("release_mem_region_adjustable", () => {
  test.each([
    ["the whole resource", 0, 4, []],
    ["its start", 0, 1, [[1, 4]]],
    ["its end", 3, 4, [[0, 3]]],
    [
      "its middle, which cuts it in two",
      1,
      2,
      [
        [0, 1],
        [2, 4],
      ],
    ],
  ])("gives back %s", (_, from, to, left) => {
    const tree = createIomem();
    const ram = addRam(tree, 0, 4);
    const { flags } = ram;
    expect(releaseMemRegionAdjustable(tree, BASE + from * BLOCK, (to - from) * BLOCK)).toBe(true);
    expect(blocks(tree)).toEqual(left);
    expect(tree.children.every((child) => child.flags === flags && child.name === "System RAM")).toBe(true);
    assertInvariants(tree, resourceInvariants);
  });

  test("finds RAM under a device that isn't busy", () => {
    const { tree, device } = treeWithDevice(IORESOURCE_SYSTEM_RAM);
    addRam(tree, 0, 4, "System RAM (kmem)");
    releaseMemRegionAdjustable(tree, BASE, BLOCK);
    expect(blocks(device)).toEqual([[1, 4]]);
    expect(tree.children).toEqual([device]);
  });

  test.each([
    ["no resource is there", 10, 11],
    ["the range spans two resources", 0, 2],
  ])("is silent, and changes nothing, when %s", (_, from, to) => {
    const tree = createIomem();
    addRam(tree, 0);
    addRam(tree, 1);
    const before = shape(tree);
    expect(releaseMemRegionAdjustable(tree, BASE + from * BLOCK, (to - from) * BLOCK)).toBe(false);
    expect(shape(tree)).toEqual(before);
  });

  test("is silent when what is there is no memory", () => {
    const tree = createIomem();
    insertResource(
      tree,
      new Resource({
        name: "ports",
        start: BASE,
        end: BASE + BLOCK - 1,
        flags: IORESOURCE_IO | IORESOURCE_BUSY,
      }),
    );
    expect(releaseMemRegionAdjustable(tree, BASE, BLOCK)).toBe(false);
    expect(tree.children.length).toBe(1);
  });

  test("children stay in the lower half", () => {
    const tree = createIomem();
    const ram = addRam(tree, 0, 3);
    const code = new Resource({ name: "Kernel code", start: BASE, end: BASE + MiB - 1 });
    insertResource(tree, code);
    releaseMemRegionAdjustable(tree, BASE + BLOCK, BLOCK);
    expect(ram.children).toEqual([code]);
    expect(tree.children[1]?.children).toEqual([]);
  });

  test("cutting where a child stands is a bug, and changes nothing", () => {
    const tree = createIomem();
    addRam(tree, 0, 3);
    insertResource(
      tree,
      new Resource({ name: "Kernel code", start: BASE + 2 * BLOCK, end: BASE + 2 * BLOCK + MiB - 1 }),
    );
    const before = shape(tree);
    expect(() => releaseMemRegionAdjustable(tree, BASE + BLOCK, BLOCK)).toThrow(KernelBug);
    expect(shape(tree)).toEqual(before);
  });

  test("what is left is what was there without what was given back, in any order of parts", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(15), fc.integer({ min: 1, max: 4 })), { maxLength: 12 }),
        (parts) => {
          const tree = createIomem();
          addRam(tree, 0, 16);
          const left = new Set(Array.from({ length: 16 }, (_, block) => block));
          for (const [from, count] of parts) {
            const range = Array.from({ length: count }, (_, i) => from + i);
            const released = releaseMemRegionAdjustable(tree, BASE + from * BLOCK, count * BLOCK);
            expect(released).toBe(range.every((block) => left.has(block)));
            if (released) for (const block of range) left.delete(block);
            assertInvariants(tree, resourceInvariants);
          }
          const found = [...iomemMatches(tree, 0, tree.end, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY)].flatMap(
            ({ start, end }) =>
              Array.from({ length: (end + 1 - start) / BLOCK }, (_, i) => (start - BASE) / BLOCK + i),
          );
          expect(found).toEqual([...left]);
        },
      ),
    );
  });
});

describe("merge_system_ram_resource", () => {
  test("makes blocks that a driver added one resource, whichever came first", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }), (order) => {
        const { tree, device } = treeWithDevice(IORESOURCE_SYSTEM_RAM);
        for (const block of order) mergeSystemRamResource(addRam(tree, block, 1, "System RAM (virtio_mem)"));
        expect(blocks(device)).toEqual([[0, 5]]);
      }),
    );
  });

  test("answers with the resource that is left", () => {
    const tree = createIomem();
    const low = mergeSystemRamResource(addRam(tree, 0));
    const high = addRam(tree, 1);
    expect(mergeSystemRamResource(high)).toBe(low);
    expect(high.parent).toBeUndefined();
  });

  test.each([
    ["a neighbour that wasn't marked", (tree: ResourceTree) => addRam(tree, 0)],
    [
      "a neighbour of another name",
      (tree: ResourceTree) => mergeSystemRamResource(addRam(tree, 0, 1, "System RAM (kmem)")),
    ],
    [
      "a neighbour with children",
      (tree: ResourceTree) => {
        mergeSystemRamResource(addRam(tree, 0));
        insertResource(tree, new Resource({ name: "Kernel code", start: BASE, end: BASE + MiB - 1 }));
      },
    ],
  ])("leaves %s alone", (_, addNeighbour) => {
    const tree = createIomem();
    addNeighbour(tree);
    mergeSystemRamResource(addRam(tree, 1));
    expect(blocks(tree)).toEqual([
      [0, 1],
      [1, 2],
    ]);
  });

  test("leaves a neighbour behind a hole alone", () => {
    const tree = createIomem();
    mergeSystemRamResource(addRam(tree, 0));
    mergeSystemRamResource(addRam(tree, 2));
    expect(blocks(tree)).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });

  test("anything but busy System RAM is a bug", () => {
    const { device } = treeWithDevice(IORESOURCE_SYSTEM_RAM);
    expect(() => mergeSystemRamResource(device)).toThrow(KernelBug);
  });
});
