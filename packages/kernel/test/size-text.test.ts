import { expect, test } from "vitest";
import { formatBytes, writeSize } from "../src/size-text.ts";
import { GiB, KiB, memparse, MiB, TiB } from "../src/units.ts";

test("a size has three digits and the largest unit of which there is one", () => {
  expect([0, 4096, 16_375_808, 2 * GiB, 1536 * GiB].map(formatBytes)).toEqual([
    "0 B",
    "4 KiB",
    "15.6 MiB",
    "2 GiB",
    "1.5 TiB",
  ]);
});

test("a size that is written is read back as it was", () => {
  const sizes = [0, 1, 640 * KiB, 3 * GiB, 3073 * MiB, TiB, 4 * GiB + 1];
  expect(sizes.map(writeSize)).toEqual(["0", "0x1", "640K", "3G", "3073M", "1T", "0x100000001"]);
  expect(sizes.map((bytes) => memparse(writeSize(bytes)))).toEqual(sizes);
});
