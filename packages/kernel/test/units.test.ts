import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  alignDown,
  alignUp,
  formatIdList,
  GiB,
  isAligned,
  kstrtobool,
  kstrtoint,
  kstrtoull,
  KiB,
  memparse,
  MiB,
  PAGE_SIZE,
  pagesToKiB,
  parseIdList,
  pfn,
  pfnToPhys,
  physAddr,
  physToPfn,
  TiB,
} from "../src/index.ts";

const errno = (name: string) => expect.objectContaining({ errno: name });

describe("frames and addresses", () => {
  test("a frame's first and last byte are in it, up to the end of 52-bit addresses", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 - 1 }), (frame) => {
        const start = pfnToPhys(pfn(frame));
        expect(physToPfn(start)).toBe(frame);
        expect(physToPfn(physAddr(start + PAGE_SIZE - 1))).toBe(frame);
      }),
    );
  });

  test("rounding lands on a multiple, less than one unit away", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 52 - 1 }),
        fc.integer({ min: 1, max: 2 ** 30 }),
        (value, unit) => {
          const down = alignDown(value, unit);
          const up = alignUp(value, unit);
          expect(isAligned(down, unit) && isAligned(up, unit)).toBe(true);
          expect(value - down).toBeLessThan(unit);
          expect(up - value).toBeLessThan(unit);
          expect(down <= value && value <= up).toBe(true);
        },
      ),
    );
  });

  test("/proc counts pages in kilobytes", () => {
    expect(pagesToKiB(32_768)).toBe(131_072);
  });
});

describe("memparse", () => {
  test.each([
    ["0", 0],
    ["4096", 4096],
    ["0x100000000", 4 * GiB],
    ["64K", 64 * KiB],
    ["128m", 128 * MiB],
    ["0x10g", 16 * GiB],
    ["1TiB", TiB],
    ["512MB", 512 * MiB],
    [" 2G ", 2 * GiB],
  ])("%s is %d bytes", (text, bytes) => {
    expect(memparse(text)).toBe(bytes);
  });

  test.each(["", "G", "1.5G", "-1", "12 34", "0x", "1GG"])("%o is EINVAL", (text) => {
    expect(() => memparse(text)).toThrow(errno("EINVAL"));
  });

  test("a suffix multiplies, whatever the number and the base", () => {
    const suffix = fc.constantFrom(["", 1], ["K", KiB], ["M", MiB], ["G", GiB], ["T", TiB]) as fc.Arbitrary<
      [string, number]
    >;
    fc.assert(
      fc.property(fc.nat(4095), suffix, (count, [letter, unit]) => {
        expect(memparse(`${count}${letter}`)).toBe(count * unit);
        expect(memparse(`0x${count.toString(16)}${letter.toLowerCase()}`)).toBe(count * unit);
      }),
    );
  });
});

describe("kstrtoull", () => {
  test.each([
    ["0", 0],
    ["42\n", 42],
    ["+7", 7],
    ["0x100000000", 4 * GiB],
    ["0X1F", 31],
    ["010", 8],
  ])("%o is %d", (text, value) => {
    expect(kstrtoull(text)).toBe(value);
  });

  test.each(["", "\n", "-1", " 1", "1 ", "08", "0x", "1\n\n", "12abc", "++1"])("%o is EINVAL", (text) => {
    expect(() => kstrtoull(text)).toThrow(errno("EINVAL"));
  });

  test("2^64 is ERANGE, and one less is not", () => {
    expect(() => kstrtoull("0x10000000000000000")).toThrow(errno("ERANGE"));
    expect(kstrtoull("18446744073709551615")).toBe(2 ** 64);
  });
});

describe("kstrtoint()", () => {
  test.each([
    ["0", "any", 0],
    ["-7\n", 10, -7],
    ["+010", 10, 10],
    ["+010", "any", 8],
    ["-0x1F", "any", -31],
    ["2147483647", "any", 2147483647],
    ["-2147483648", 10, -2147483648],
  ] as const)("%j in base %s is %d", (text, base, value) => {
    expect(kstrtoint(text, base)).toBe(value);
  });

  test.each([
    ["", "any"],
    [" 1", "any"],
    ["1 ", "any"],
    ["1\n\n", "any"],
    ["08", "any"],
    ["0x", "any"],
    ["0x1", 10],
    ["--1", 10],
    ["max", 10],
  ] as const)("%j in base %s is EINVAL", (text, base) => {
    expect(() => kstrtoint(text, base)).toThrow(errno("EINVAL"));
  });

  test("what doesn't fit in 32 bits is ERANGE", () => {
    expect(() => kstrtoint("2147483648")).toThrow(errno("ERANGE"));
    expect(() => kstrtoint("-0x80000001", "any")).toThrow(errno("ERANGE"));
  });
});

describe("lists of numbers", () => {
  test("runs are joined, single numbers are not", () => {
    expect(formatIdList([7, 3, 1, 2, 0, 3])).toBe("0-3,7");
    expect(formatIdList([])).toBe("");
    expect(parseIdList("0-3,7\n")).toEqual([0, 1, 2, 3, 7]);
    expect(parseIdList("\n")).toEqual([]);
  });

  test("any set comes back from its text", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(60)), (ids) => {
        const text = formatIdList(ids);
        expect(parseIdList(text)).toEqual(ids.toSorted((a, b) => a - b));
        expect(formatIdList(parseIdList(text))).toBe(text);
      }),
    );
  });

  test.each(["a", "1-", "-1", "1-2-3", "1;2", "3-1", "4-3"])("%o is EINVAL", (text) => {
    expect(() => parseIdList(text)).toThrow(errno("EINVAL"));
  });

  test("a list that runs past the ids of any machine is refused at once", () => {
    expect(() => parseIdList("0-99999999999")).toThrow(errno("ERANGE"));
    expect(() => parseIdList(Array.from({ length: 3 }, () => "0-1048575").join(","))).toThrow(
      errno("ERANGE"),
    );
  });
});

describe("kstrtobool()", () => {
  test("the first letter decides, and the second of on and off", () => {
    expect(["1", "y\n", "Yes", "true", "on\n", "ON"].map(kstrtobool)).toEqual(
      Array.from({ length: 6 }, () => true),
    );
    expect(["0", "n\n", "No", "false", "off\n", "of"].map(kstrtobool)).toEqual(
      Array.from({ length: 6 }, () => false),
    );
  });

  test.each(["", " 1", "o", "2", "ja"])("%j is EINVAL", (text) => {
    expect(() => kstrtobool(text)).toThrow(/^EINVAL/);
  });
});
