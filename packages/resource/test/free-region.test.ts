import { assertInvariants, GiB, KernelBug, MiB, TiB } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  allocateResource,
  allocFreeMemRegion,
  createIomem,
  formatIomem,
  GFR_DEFAULT_ALIGN,
  IORES_DESC_DEVICE_PRIVATE_MEMORY,
  IORESOURCE_BUSY,
  IORESOURCE_MEM,
  parseIomem,
  releaseRegion,
  requestFreeMemRegion,
  requestRegion,
  requestResource,
  Resource,
  resourceInvariants,
} from "../src/index.ts";
import { capture, named, shape, treeWithDevice } from "./trees.ts";

const errno = (name: string) => expect.objectContaining({ errno: name });

const bar = (): Resource => new Resource({ name: "bar", start: 0, end: 0xfff });

describe("request_free_mem_region", () => {
  test.each(["hidden-ram", "nvdimm"] as const)(
    "gives the HMM test driver the ranges that the kernel gave it (%s)",
    (name) => {
      const captured = capture(name);
      const tree = parseIomem(captured, createIomem(40));
      for (let i = 0; i < 2; i++) {
        const { start, size } = named(tree, "hmm_dmirror");
        releaseRegion(tree, start, size);
      }
      expect(formatIomem(tree, { privileged: true })).not.toContain("hmm_dmirror");
      const first = requestFreeMemRegion(tree, 256 * MiB, "hmm_dmirror");
      const second = requestFreeMemRegion(tree, 256 * MiB, "hmm_dmirror");
      expect(first.start).toBeGreaterThan(second.start);
      expect(formatIomem(tree, { privileged: true })).toBe(captured);
    },
  );

  test("makes a busy region for unaddressable memory", () => {
    const region = requestFreeMemRegion(createIomem(), GiB, "gpu");
    expect(region).toMatchObject({
      flags: IORESOURCE_MEM | IORESOURCE_BUSY,
      desc: IORES_DESC_DEVICE_PRIVATE_MEMORY,
      name: "gpu",
    });
  });

  test.each([
    ["the processor's addresses end", 40, 46, 2 ** 40],
    ["the memmap ends", 52, 46, 64 * TiB],
    ["a five-level memmap ends", 52, 52, 2 ** 52],
  ])("starts where %s", (_, physicalBits, maxPhysmemBits, top) => {
    expect(requestFreeMemRegion(createIomem(physicalBits), GiB, "gpu", maxPhysmemBits).end).toBe(top - 1);
  });

  test("rounds the size up to whole sections", () => {
    const { start, size } = requestFreeMemRegion(createIomem(), 1, "gpu");
    expect([start % GFR_DEFAULT_ALIGN, size]).toEqual([0, GFR_DEFAULT_ALIGN]);
  });

  test("steps over whatever is there, whole sizes at a time", () => {
    const tree = createIomem(40);
    requestRegion(tree, 2 ** 40 - 0x1000, 0x1000, "top page");
    expect(requestFreeMemRegion(tree, GiB, "gpu").end).toBe(2 ** 40 - GiB - 1);
  });

  test("ERANGE when nothing is free, and the tree is as it was", () => {
    const tree = createIomem(32);
    requestRegion(tree, 2 * GiB, GiB, "middle");
    const before = shape(tree);
    expect(() => requestFreeMemRegion(tree, 2 * GiB, "gpu")).toThrow(errno("ERANGE"));
    expect(shape(tree)).toEqual(before);
  });

  test("never touches what others have, and what two devices get is disjoint", () => {
    const taken = fc.array(fc.tuple(fc.nat(31), fc.integer({ min: 1, max: 4 })), { maxLength: 6 });
    fc.assert(
      fc.property(taken, fc.integer({ min: 1, max: 6 }), (ranges, sections) => {
        const tree = createIomem(32);
        for (const [at, count] of ranges) tryRequest(tree, at * GFR_DEFAULT_ALIGN, count * GFR_DEFAULT_ALIGN);
        for (let i = 0; i < 2; i++) {
          try {
            requestFreeMemRegion(tree, sections * GFR_DEFAULT_ALIGN, "gpu");
          } catch (error) {
            expect(error).toEqual(errno("ERANGE"));
          }
        }
        assertInvariants(tree, resourceInvariants);
        expect(tree.children.every((child) => child.children.length === 0)).toBe(true);
      }),
    );
  });
});

describe("alloc_free_mem_region", () => {
  test("takes the lowest aligned range in a window", () => {
    const { device } = treeWithDevice();
    requestRegion(device, device.start, MiB, "taken");
    const region = allocFreeMemRegion(device, 200 * MiB, 256 * MiB, "region0");
    expect([region.start, region.size, region.parent]).toEqual([4 * GiB + 256 * MiB, 256 * MiB, device]);
    expect(region.flags & IORESOURCE_BUSY).toBe(0);
  });

  test("ERANGE when the window is full", () => {
    const { device } = treeWithDevice();
    allocFreeMemRegion(device, GiB, GiB, "region0");
    expect(() => allocFreeMemRegion(device, MiB, MiB, "region1")).toThrow(errno("ERANGE"));
    expect(() => allocFreeMemRegion(treeWithDevice().device, 2 * GiB, GiB, "region0")).toThrow(
      errno("ERANGE"),
    );
  });
});

describe("allocate_resource", () => {
  test("takes the lowest gap that is large enough", () => {
    const tree = createIomem();
    requestResource(tree, new Resource({ name: "a", start: 0x1000, end: 0x1fff }));
    requestResource(tree, new Resource({ name: "b", start: 0x2800, end: 0x2fff }));
    const resource = bar();
    allocateResource(tree, resource, 0x1000, { min: 0x1000, align: 0x800 });
    expect([resource.start, resource.size]).toEqual([0x3000, 0x1000]);
  });

  test("stays between the limits, or fails with EBUSY and leaves the resource as it was", () => {
    const tree = createIomem();
    const resource = bar();
    allocateResource(tree, resource, 0x1000, { min: 0x1800, max: 0x2fff, align: 0x1000 });
    expect(resource.start).toBe(0x2000);
    const late = bar();
    expect(() => allocateResource(tree, late, 0x1000, { min: 0x1800, max: 0x2fff, align: 0x1000 })).toThrow(
      errno("EBUSY"),
    );
    expect([late.start, late.end, late.parent]).toEqual([0, 0xfff, undefined]);
  });

  test("a placed resource is a bug of the caller", () => {
    const { tree, device } = treeWithDevice();
    expect(() => allocateResource(tree, device, MiB)).toThrow(KernelBug);
  });
});

function tryRequest(tree: Resource, start: number, size: number): void {
  try {
    requestRegion(tree, start, size, "taken");
  } catch (error) {
    expect(error).toEqual(errno("EBUSY"));
  }
}
