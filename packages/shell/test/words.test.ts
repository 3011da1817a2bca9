// Words that look like patterns, and what it costs to find out.
import { describe, expect, test } from "vitest";
import { testShell } from "./test-shell.ts";

describe("a word is looked up in a directory only if it is a pattern", () => {
  const cases: [line: string, output: string][] = [
    ["[ 1 -lt 2 ] && echo yes", "yes\n"],
    ["echo [ a[ '*' \"?\" \\*", "[ a[ * ? *\n"],
    ['x=\'*\'; echo "$x" "[a]"', "* [a]\n"],
  ];
  test.each(cases)("%s", (line, output) => {
    const { sh, vfs } = testShell();
    vfs.list = () => {
      throw new Error("the directory was listed");
    };
    expect(sh(`cd /sys/devices/system/memory; ${line}`).stdout).toBe(output);
  });
});

describe("a prefix or suffix is cut at", () => {
  const cases: [word: string, value: string][] = [
    ["${x#*/}", "b/c.d.e"],
    ["${x##*/}", "c.d.e"],
    ["${x%.*}", "a/b/c.d"],
    ["${x%%.*}", "a/b/c"],
    ["${x%[a-z]}", "a/b/c.d."],
    ["${x#nosuch}", "a/b/c.d.e"],
    ["${x%%*}", ""],
  ];
  test.each(cases)("%s", (word, value) => {
    expect(testShell().sh(`x=a/b/c.d.e; echo "${word}"`).stdout).toBe(`${value}\n`);
  });
});
