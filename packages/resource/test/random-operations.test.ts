import { assertInvariants, KernelBug, KernelError } from "@hetmem/kernel";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  adjustResource,
  allocateResource,
  createIomem,
  descendants,
  insertResource,
  insertResourceExpandToFit,
  IORESOURCE_SYSTEM_RAM,
  mergeSystemRamResource,
  releaseMemRegionAdjustable,
  releaseRegion,
  releaseResource,
  removeResource,
  requestRegion,
  requestResource,
  reserveRegionWithSplit,
  Resource,
  resourceInvariants,
  type ResourceTree,
} from "../src/index.ts";
import { shape } from "./trees.ts";

const OPERATIONS: Readonly<
  Record<string, (tree: ResourceTree, range: Resource, victim: Resource | undefined) => void>
> = {
  request: (tree, range, victim) => requestResource(victim ?? tree, range),
  insert: (tree, range) => insertResource(tree, range),
  expand: (tree, range) => insertResourceExpandToFit(tree, range),
  allocate: (tree, range) => allocateResource(tree, range, range.size, { min: range.start, align: 4 }),
  region: (tree, range) => void requestRegion(tree, range.start, range.size, "region"),
  ram: (tree, range) =>
    void requestRegion(tree, range.start, range.size, "System RAM", IORESOURCE_SYSTEM_RAM),
  reserve: (tree, range) => void reserveRegionWithSplit(tree, range.start, range.end, "RAM buffer"),
  merge: (_, __, victim) => victim && mergeSystemRamResource(victim),
  release: (_, __, victim) => victim && releaseResource(victim),
  remove: (_, __, victim) => victim && removeResource(victim),
  adjust: (_, range, victim) => victim && adjustResource(victim, range.start, range.size),
  releaseExactly: (tree, _, victim) => victim && releaseRegion(tree, victim.start, victim.size),
  releasePart: (tree, range) => void releaseMemRegionAdjustable(tree, range.start, range.size),
};

test("any sequence of operations keeps the invariants, and one that fails leaves the tree as it was", () => {
  const step = fc.record({
    name: fc.constantFrom(...Object.keys(OPERATIONS)),
    start: fc.nat(120),
    size: fc.integer({ min: 1, max: 40 }),
    victim: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const tree = createIomem();
      for (const { name, start, size, victim } of steps) {
        const all = [...descendants(tree)];
        const before = shape(tree);
        try {
          OPERATIONS[name]?.(
            tree,
            new Resource({ name, start, end: start + size - 1 }),
            all[victim % all.length],
          );
        } catch (error) {
          expect(error instanceof KernelError || error instanceof KernelBug).toBe(true);
          expect(shape(tree)).toEqual(before);
        }
        assertInvariants(tree, resourceInvariants);
      }
    }),
    { numRuns: 400 },
  );
});

test("a region requested and released leaves no trace", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(100), fc.integer({ min: 1, max: 30 })), { maxLength: 12 }),
      (ranges) => {
        const tree = createIomem();
        for (const [start, size] of ranges.slice(0, 6)) {
          try {
            insertResource(tree, new Resource({ name: "device", start, end: start + size - 1 }));
          } catch (error) {
            expect(error).toBeInstanceOf(KernelError);
          }
        }
        const before = shape(tree);
        const made: Resource[] = [];
        for (const [start, size] of ranges.slice(6)) {
          try {
            made.push(requestRegion(tree, start, size, "driver"));
          } catch (error) {
            expect(error).toBeInstanceOf(KernelError);
          }
        }
        for (const { start, size } of made) releaseRegion(tree, start, size);
        expect(shape(tree)).toEqual(before);
      },
    ),
  );
});

test("the invariants see a tree that somebody broke", () => {
  const tree = createIomem();
  const a = requestRegion(tree, 0, 0x1000, "a");
  const b = requestRegion(tree, 0x1000, 0x1000, "b");
  b.start = a.start;
  expect(() => assertInvariants(tree, resourceInvariants)).toThrow("siblings are sorted and disjoint");
  b.parent = a;
  expect(() => assertInvariants(tree, resourceInvariants)).toThrow("does not name PCI mem");
});
