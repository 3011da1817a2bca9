import { GiB } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createIomem,
  insertResourceConflict,
  IORES_DESC_CXL,
  IORES_DESC_NONE,
  IORES_DESC_PERSISTENT_MEMORY,
  IORESOURCE_BUSY,
  IORESOURCE_MEM,
  IORESOURCE_SYSTEM_RAM,
  parseIomem,
  REGION_DISJOINT,
  REGION_INTERSECTS,
  REGION_MIXED,
  regionIntersects,
  requestRegion,
  Resource,
  type ResourceTree,
} from "../src/index.ts";
import { BLOCK, capture, treeWithDevice } from "./trees.ts";

const ram = (tree: ResourceTree, start: number, size: number) =>
  regionIntersects(tree, start, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE);

describe("region_intersects", () => {
  const host = parseIomem(capture("nvdimm"));

  test.each([
    ["RAM alone", 0x100000, 0x1000, REGION_INTERSECTS],
    ["RAM and a hole behind it", 0x9f000, 0xc00, REGION_INTERSECTS],
    ["RAM and what is reserved behind it", 0x9f000, 0x1000, REGION_MIXED],
    ["a bus", 0xc000_0000, 0x1000, REGION_DISJOINT],
    ["nothing", 2 * 0x1_0000_0000, 0x1000, REGION_DISJOINT],
  ])("%s", (_, start, size, answer) => {
    expect(ram(host, start, size)).toBe(answer);
  });

  test("asks by descriptor too", () => {
    expect(regionIntersects(host, 4 * GiB, GiB, IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY)).toBe(
      REGION_INTERSECTS,
    );
    expect(regionIntersects(host, 4 * GiB, GiB, IORESOURCE_MEM, IORES_DESC_CXL)).toBe(REGION_DISJOINT);
  });

  test("flags that hold the top bit are compared as the kernel compares them", () => {
    expect(regionIntersects(host, 0x100000, 0x1000, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY)).toBe(
      REGION_INTERSECTS,
    );
    expect(regionIntersects(host, 4 * GiB, 0x1000, IORESOURCE_MEM | IORESOURCE_BUSY)).not.toBe(
      REGION_DISJOINT,
    );
  });

  test("RAM under a window counts as RAM, and the rest of the window as something else", () => {
    const { tree, device } = treeWithDevice();
    device.desc = IORES_DESC_CXL;
    requestRegion(tree, 4 * GiB, BLOCK, "System RAM (kmem)", IORESOURCE_SYSTEM_RAM);
    expect(ram(tree, 4 * GiB, BLOCK)).toBe(REGION_INTERSECTS);
    expect(ram(tree, 4 * GiB, 2 * BLOCK)).toBe(REGION_MIXED);
    expect(ram(tree, 4 * GiB + BLOCK, BLOCK)).toBe(REGION_DISJOINT);
    requestRegion(tree, 4 * GiB + BLOCK, BLOCK, "System RAM (kmem)", IORESOURCE_SYSTEM_RAM);
    expect(ram(tree, 4 * GiB, 2 * BLOCK)).toBe(REGION_INTERSECTS);
  });

  test("says what a look at every byte says", () => {
    const resource = fc.record({
      start: fc.nat(15),
      size: fc.integer({ min: 1, max: 10 }),
      isRam: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(resource, { maxLength: 10 }),
        fc.nat(15),
        fc.integer({ min: 1, max: 8 }),
        (resources, start, size) => {
          const tree = createIomem();
          for (const { start: first, size: length, isRam } of resources) {
            const flags = isRam ? IORESOURCE_SYSTEM_RAM : IORESOURCE_MEM;
            const range = { start: first, end: first + length - 1 };
            insertResourceConflict(tree, new Resource({ name: "r", ...range, flags }));
          }
          const bytes = Array.from({ length: size }, (_, i) => kindOfByte(tree, start + i));
          const answer = bytes.includes("ram")
            ? bytes.includes("other")
              ? REGION_MIXED
              : REGION_INTERSECTS
            : REGION_DISJOINT;
          expect(ram(tree, start, size)).toBe(answer);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** The kind of one address: RAM if one resource over it is RAM. */
function kindOfByte(above: Resource, address: number): "ram" | "other" | "hole" {
  const child = above.children.find((below) => below.contains(address, address));
  if (!child) return "hole";
  if (child.matches(IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE)) return "ram";
  return kindOfByte(child, address) === "ram" ? "ram" : "other";
}
