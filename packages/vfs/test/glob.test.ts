import * as fc from "fast-check";
import { assertInvariants, run } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { GlobPattern, hasGlob, vfsInvariants } from "../src/index.ts";
import { smallMachine } from "./machine-tables.ts";

describe("names", () => {
  const cases: [pattern: string, matches: string[], misses: string[]][] = [
    ["memory3?", ["memory32", "memory3x"], ["memory3", "memory320"]],
    ["memory3[2-6]", ["memory32", "memory36"], ["memory37", "memory3"]],
    ["memory[!0-9]*", ["memoryx1"], ["memory1"]],
    ["[^a]", ["b"], ["a"]],
    ["[]a]", ["]", "a"], ["b"]],
    ["[a-]", ["a", "-"], ["b"]],
    ["[[:digit:]]*", ["1x"], ["x1"]],
    ["a\\*b", ["a*b"], ["axb"]],
    ["a.b", ["a.b"], ["axb"]],
    ["[", ["["], ["x"]],
    ["[\\]]", ["]"], ["\\"]],
  ];
  test.each(cases)("%s", (pattern, matches, misses) => {
    const matcher = GlobPattern.parse(pattern);
    expect(matches.filter((name) => !matcher.matches(name))).toEqual([]);
    expect(misses.filter((name) => matcher.matches(name))).toEqual([]);
  });

  test("a bracket that isn't closed, and one in quotes, stands for itself", () => {
    for (const word of ["[", "a[", "[]", "[!]", "\\[ab\\]", "\\*", "\\?"])
      expect([word, hasGlob(word)]).toEqual([word, false]);
    for (const word of ["[a]", "*", "?", "[]]", "x[!a]"]) expect([word, hasGlob(word)]).toEqual([word, true]);
  });

  test("a range that ends before it begins matches nothing", () => {
    expect(GlobPattern.parse("[z-a]").matches("m")).toBe(false);
    expect(GlobPattern.parse("[z-ab]").matches("b")).toBe(true);
  });

  test("a pattern of many stars costs the text's length times its own", () => {
    expect(GlobPattern.parse(`${"*a".repeat(30)}b`).matches("a".repeat(2000))).toBe(false);
  });

  test("a name matches itself with every character escaped", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        const escaped = Array.from(name, (char) => `\\${char}`).join("");
        expect(GlobPattern.parse(escaped).matches(name)).toBe(true);
      }),
    );
  });
});

describe("paths", () => {
  test("a pattern in the middle finds the file in each directory that has it", () => {
    const { vfs } = smallMachine();
    expect(vfs.glob("/sys/devices/system/memory/memory[18]*/state")).toEqual([
      "/sys/devices/system/memory/memory1/state",
      "/sys/devices/system/memory/memory10/state",
      "/sys/devices/system/memory/memory8/state",
    ]);
  });

  test("patterns go through links and keep the path that was typed", () => {
    const { vfs } = smallMachine();
    expect(vfs.glob("/sys/devices/system/node/node0/memory*/../memory0/st?te")).toEqual([
      "/sys/devices/system/node/node0/memory0/../memory0/state",
      "/sys/devices/system/node/node0/memory1/../memory0/state",
    ]);
  });

  test("a pattern that matches nothing gives nothing", () => {
    const { vfs } = smallMachine();
    expect(vfs.glob("/sys/devices/system/memory/memory4?/state")).toEqual([]);
    expect(vfs.glob("/sys/devices/system/memory/probe/*")).toEqual([]);
  });

  test("names with a dot in front need one in the pattern", () => {
    const { vfs } = smallMachine();
    vfs.mkdir("/tmp");
    vfs.open("/tmp/.hidden", "write");
    vfs.open("/tmp/seen", "write");
    expect(vfs.glob("/tmp/*")).toEqual(["/tmp/seen"]);
    expect(vfs.glob("/tmp/.h*")).toEqual(["/tmp/.hidden"]);
  });

  test("a slash at the end asks for directories", () => {
    const { vfs } = smallMachine(["0"]);
    expect(vfs.glob("/sys/devices/system/memory/*/")).toEqual([
      "/sys/devices/system/memory/memory0/",
      "/sys/devices/system/memory/power/",
    ]);
  });
});

describe("any set of blocks", () => {
  const sets = fc.uniqueArray(fc.nat(64).map(String), { maxLength: 12 });

  test("keeps the invariants", () => {
    fc.assert(
      fc.property(sets, (blocks) => {
        assertInvariants(smallMachine(blocks).vfs, vfsInvariants);
      }),
      { numRuns: 50 },
    );
  });

  test("is what walk finds and what a glob finds, and every file found can be read or refuses with a reason", () => {
    fc.assert(
      fc.property(sets, (blocks) => {
        const { vfs } = smallMachine(blocks);
        const globbed = vfs.glob("/sys/devices/system/memory/memory*/state");
        const walked = Array.from(vfs.walk("/sys/devices/system/memory"), ({ path }) => path).filter((path) =>
          path.endsWith("/state"),
        );
        expect(globbed).toEqual([...walked].sort());
        expect(globbed).toHaveLength(blocks.length);
        for (const path of globbed) expect(run(vfs.read(path))).toBe("online\n");
      }),
      { numRuns: 50 },
    );
  });
});

test("a pattern of a hundred thousand plain characters is matched as fast as it is read", () => {
  const text = "x".repeat(100_000);
  const pattern = GlobPattern.parse(text);
  expect(pattern.matches(text)).toBe(true);
  expect([...pattern.reversed().prefixes(`${text}x`)]).toEqual([100_000]);
});

test("patterns match as regular expressions of the same meaning do", () => {
  const piece = fc.constantFrom("a", "b", "*", "?");
  const word = fc.array(fc.constantFrom("a", "b"), { maxLength: 8 }).map((letters) => letters.join(""));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), word, (pieces, text) => {
      const pattern = pieces.join("");
      const same = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s");
      expect(GlobPattern.parse(pattern).matches(text)).toBe(same.test(text));
    }),
  );
});
