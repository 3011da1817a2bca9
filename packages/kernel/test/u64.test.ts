// Unsigned 64-bit numbers: read exactly, printed exactly.
import { describe, expect, test } from "vitest";
import { formatU64, kstrtou64, kstrtouint, memparse, memparseU64 } from "../src/index.ts";

const errno = (name: string) => expect.objectContaining({ errno: name });

describe("memparse() of the kernel", () => {
  test.each([
    ["1E", 1_152_921_504_606_846_976n],
    ["7e", 8_070_450_532_247_928_832n],
    ["9007199254740993", 9_007_199_254_740_993n],
    ["0x10K", 16_384n],
    ["010M", 8_388_608n],
    ["G", 0n],
    ["", 0n],
  ])("%o is %d bytes", (text, value) => {
    expect(memparseU64(text)).toEqual({ value, rest: "" });
  });

  test("what doesn't fit in 64 bits wraps, after the digits and after the suffix", () => {
    expect(memparseU64("9007199254749999G").value).toBe(9_671_192_608_768n);
    expect(memparseU64("16E").value).toBe(0n);
    expect(memparseU64("18446744073709551617").value).toBe(1n);
  });

  test("what stands behind the number is left to the caller", () => {
    expect(memparseU64("08")).toEqual({ value: 0n, rest: "8" });
    expect(memparseU64("-1")).toEqual({ value: 0n, rest: "-1" });
    expect(memparseU64("1KB")).toEqual({ value: 1024n, rest: "B" });
    expect(memparseU64("0x")).toEqual({ value: 0n, rest: "x" });
  });
});

test("a number of a file is exact up to 2^64, where it is ERANGE", () => {
  expect(kstrtou64("18446744073709551615\n")).toBe(2n ** 64n - 1n);
  expect(kstrtou64("0x20000000000001")).toBe(2n ** 53n + 1n);
  expect(kstrtou64("010")).toBe(8n);
  expect(() => kstrtou64("18446744073709551616")).toThrow(errno("ERANGE"));
  for (const text of ["", "-1", "08", "1 2", "1\n\n", "0x"])
    expect(() => kstrtou64(text), text).toThrow(errno("EINVAL"));
});

test("a parameter of 32 bits is ERANGE at 2^32", () => {
  expect(kstrtouint("4294967295")).toBe(4_294_967_295);
  expect(() => kstrtouint("4294967296")).toThrow(errno("ERANGE"));
});

test("every digit of a number is printed", () => {
  expect(formatU64(2 ** 60)).toBe("1152921504606846976");
  expect(formatU64(2n ** 64n - 1n)).toBe("18446744073709551615");
});

test("a size of a machine that isn't exact as a number is refused", () => {
  expect(memparse("7P")).toBe(7 * 2 ** 50);
  for (const text of ["8P", "1E", "16E", "9007199254740993"])
    expect(() => memparse(text), text).toThrow(errno("EINVAL"));
});
