import { GiB, KernelBug, KernelError, MiB } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  createIomem,
  IORES_DESC_PERSISTENT_MEMORY,
  IORESOURCE_BUSY,
  IORESOURCE_EXCLUSIVE,
  IORESOURCE_MEM,
  IORESOURCE_SYSTEM_RAM,
  releaseRegion,
  releaseResource,
  removeResource,
  requestRegion,
  requestResource,
  requestResourceConflict,
  Resource,
} from "../src/index.ts";
import { BLOCK, shape, treeWithDevice } from "./trees.ts";

const errno = (name: string) => expect.objectContaining({ errno: name });

describe("request_resource", () => {
  test("places a resource among its siblings by address", () => {
    const tree = createIomem();
    for (const start of [0x3000, 0x1000, 0x2000])
      requestResource(tree, new Resource({ name: `${start}`, start, end: start + 0xfff }));
    expect(tree.children.map((child) => child.start)).toEqual([0x1000, 0x2000, 0x3000]);
    expect(tree.children[0]?.sibling).toBe(tree.children[1]);
    expect(tree.children[2]?.sibling).toBeUndefined();
  });

  test("a range that overlaps another by one byte fails with EBUSY, which names both", () => {
    const { tree, device } = treeWithDevice();
    const late = new Resource({ name: "late", start: device.end, end: device.end + 0xfff });
    expect(() => requestResource(tree, late)).toThrow(errno("EBUSY"));
    expect(() => requestResource(tree, late)).toThrow(
      "late [mem 0x13fffffff-0x140000ffe] conflicts with device [mem 0x100000000-0x13fffffff]",
    );
    expect(late.parent).toBeUndefined();
    expect(tree.children).toEqual([device]);
  });

  test("a range that leaves the address space conflicts with the root", () => {
    const tree = createIomem(40);
    const past = new Resource({ name: "past", start: 2 ** 40 - 0x1000, end: 2 ** 40 });
    expect(requestResourceConflict(tree, past)).toBe(tree);
    expect(() => requestResource(tree, past)).toThrow("does not lie inside PCI mem");
  });

  test("a range of no bytes is refused", () => {
    const empty = new Resource({ name: "empty", start: 0x1000, end: 0xfff });
    expect(() => requestResource(createIomem(), empty)).toThrow(errno("EBUSY"));
  });

  test("a resource that is in a tree already is a bug of the caller", () => {
    const { tree, device } = treeWithDevice();
    expect(() => requestResource(tree, device)).toThrow(KernelBug);
  });
});

describe("release", () => {
  test("release_resource takes what lies in the resource along, and it can be requested again with it", () => {
    const { tree, device } = treeWithDevice();
    const region = requestRegion(tree, 4 * GiB, BLOCK, "driver");
    releaseResource(device);
    expect(tree.children).toEqual([]);
    requestResource(tree, device);
    expect(device.children).toEqual([region]);
  });

  test("remove_resource leaves what lies in the resource where it is", () => {
    const { tree, device } = treeWithDevice();
    const low = requestRegion(tree, 4 * GiB, BLOCK, "low");
    const high = requestRegion(tree, 4 * GiB + BLOCK, BLOCK, "high");
    removeResource(device);
    expect(tree.children).toEqual([low, high]);
    expect(low.parent).toBe(tree);
  });

  test("a resource that is in no tree gives EINVAL", () => {
    const loose = new Resource({ name: "loose", start: 0, end: 1 });
    expect(() => releaseResource(loose)).toThrow(errno("EINVAL"));
    expect(() => removeResource(loose)).toThrow(errno("EINVAL"));
  });
});

describe("request_region", () => {
  test("makes a busy region of its parent's type and descriptor", () => {
    const { tree, device } = treeWithDevice(IORESOURCE_SYSTEM_RAM);
    device.desc = IORES_DESC_PERSISTENT_MEMORY;
    const region = requestRegion(tree, 4 * GiB, BLOCK, "dax0.0");
    expect(region.parent).toBe(device);
    expect(region.flags).toBe(IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY);
    expect(region.desc).toBe(IORES_DESC_PERSISTENT_MEMORY);
  });

  test("adds the flags that the caller asks for", () => {
    const region = requestRegion(createIomem(), 0, 0x1000, "nvram", IORESOURCE_EXCLUSIVE);
    expect(region.flags).toBe(IORESOURCE_MEM | IORESOURCE_BUSY | IORESOURCE_EXCLUSIVE);
  });

  test("does not go into a busy region: EBUSY names it", () => {
    const { tree } = treeWithDevice();
    requestRegion(tree, 4 * GiB, BLOCK, "first");
    expect(() => requestRegion(tree, 4 * GiB + MiB, MiB, "second")).toThrow(errno("EBUSY"));
    expect(() => requestRegion(tree, 4 * GiB + MiB, MiB, "second")).toThrow(
      /second .* conflicts with first /,
    );
  });

  test("does not straddle the end of a resource that isn't busy", () => {
    const { tree, device } = treeWithDevice();
    const before = shape(tree);
    expect(() => requestRegion(tree, 5 * GiB - MiB, 2 * MiB, "wide")).toThrow(
      `does not lie inside ${device}`,
    );
    expect(shape(tree)).toEqual(before);
  });

  test("what kmem does: a region made not busy again takes System RAM as its child", () => {
    const { tree } = treeWithDevice();
    const dax = requestRegion(tree, 4 * GiB, BLOCK, "dax0.0");
    expect(() => requestRegion(tree, 4 * GiB, BLOCK, "System RAM (kmem)", IORESOURCE_SYSTEM_RAM)).toThrow(
      KernelError,
    );
    dax.flags = IORESOURCE_SYSTEM_RAM;
    const ram = requestRegion(tree, 4 * GiB, BLOCK, "System RAM (kmem)", IORESOURCE_SYSTEM_RAM);
    expect(ram.parent).toBe(dax);
  });
});

describe("release_region", () => {
  test("gives back the busy region, not what it lies in", () => {
    const { tree, device } = treeWithDevice();
    requestRegion(tree, device.start, device.size, "driver");
    releaseRegion(tree, device.start, device.size);
    expect(tree.children).toEqual([device]);
    expect(device.children).toEqual([]);
  });

  test.each([
    ["part of a region", 4 * GiB, BLOCK / 2],
    ["more than a region", 4 * GiB, 2 * BLOCK],
    ["nothing", 8 * GiB, BLOCK],
  ])("giving back %s is a bug, and changes nothing", (_, start, size) => {
    const { tree } = treeWithDevice();
    requestRegion(tree, 4 * GiB, BLOCK, "driver");
    const before = shape(tree);
    expect(() => releaseRegion(tree, start, size)).toThrow(KernelBug);
    expect(shape(tree)).toEqual(before);
  });
});
