import { GiB, KernelError, MiB, TiB } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { hostArray, HostMemoryError, hostSize } from "../src/host-array.ts";

test("an array that the host has no room for says how many bytes were asked for, and what for", () => {
  let thrown: unknown;
  try {
    hostArray(Int32Array, 2 ** 51, "struct pages of the moon");
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(HostMemoryError);
  expect(thrown).not.toBeInstanceOf(KernelError);
  expect(thrown).toMatchObject({
    bytes: 2 ** 53,
    message: "the host has no room for the 8192 TiB that struct pages of the moon take in hetmem",
  });
});

test("an array that the host has room for is full of zeros", () => {
  expect(hostArray(Uint16Array, 3, "cgroups of pages")).toEqual(new Uint16Array(3));
});

test("a fault that isn't the host's memory goes through", () => {
  class Faulty {
    static readonly BYTES_PER_ELEMENT = 1;
    constructor() {
      throw new TypeError("a fault");
    }
  }
  expect(() => hostArray(Faulty, 1, "faults")).toThrow(new TypeError("a fault"));
});

test.each([
  [1, "1 MiB"],
  [GiB - 1, "1024 MiB"],
  [514.5 * MiB, "515 MiB"],
  [12.5 * GiB, "12.5 GiB"],
  [1.5626 * TiB, "1.6 TiB"],
])("%i bytes are %s", (bytes, text) => {
  expect(hostSize(bytes)).toBe(text);
});
