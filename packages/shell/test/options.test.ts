// Options in the style of getopt(3): letters in a row, values beside or behind them, long names, and how a wrong one is told.
import { describe, expect, test } from "vitest";
import { type Options, parseOptions, UsageProblem } from "../src/index.ts";

const LONG = { all: "a", output: "o" };

function parsed(...args: string[]): Options {
  return parseOptions(args, "abo:n:", { long: LONG, status: 2 });
}

test("letters stand in a row, and the last of them may have its value beside it or behind it", () => {
  for (const args of [["-abn5"], ["-ab", "-n5"], ["-a", "-b", "-n", "5"]]) {
    const { flags, values, operands } = parsed(...args, "file");
    expect([[...flags], [...values], operands]).toEqual([["a", "b"], [["n", "5"]], ["file"]]);
  }
});

test("a long name is another name of a letter, with its value behind = or in the next argument", () => {
  expect(parsed("--all", "--output=x").flags).toEqual(new Set(["a"]));
  expect(parsed("--output=x=y").values.get("o")).toBe("x=y");
  expect(parsed("--output", "x").values.get("o")).toBe("x");
});

test("an option that is given again counts again, keeps all its values, and its last one is the value", () => {
  const { counts, lists, values } = parsed("-aa", "-n1", "-n", "2");
  expect([counts.get("a"), lists.get("n"), values.get("n")]).toEqual([2, ["1", "2"], "2"]);
});

test("options stand anywhere before --; behind it, and a single dash, are operands", () => {
  const { flags, operands } = parsed("x", "-a", "-", "--", "-b", "--all");
  expect([[...flags], operands]).toEqual([["a"], ["x", "-", "-b", "--all"]]);
});

describe("a wrong option is told as getopt does", () => {
  test.each([
    [["-z"], "invalid option -- 'z'"],
    [["-a:"], "invalid option -- ':'"],
    [["-n"], "option requires an argument -- 'n'"],
    [["--output"], "option requires an argument -- 'output'"],
    [["--none"], "unrecognized option '--none'"],
  ])("%j", (args, message) => {
    expect(() => parsed(...args)).toThrow(new UsageProblem(message, 2));
  });
});
