// Options and JSON of ndctl and daxctl: the words are those that version 76.1 printed when it was asked.
import { expect, test } from "vitest";
import { formatJson, jsonSize, parseToolOptions, ToolAnswer, type ToolUsage } from "../src/tool/index.ts";

const USAGE: ToolUsage = {
  line: "tool do",
  options: [
    { short: "b", long: "bus", value: "bus-id", help: "filter by bus" },
    { short: "s", long: "size", value: "n", numeric: true, help: "bytes" },
    { short: "H", long: "health", help: "include health" },
    { short: "u", long: "human", help: "for people" },
    { short: "N", long: "no-online", help: "don't online" },
    { short: "L", long: "autolabel", initially: true, help: "labels" },
    { short: "v", long: "verbose", help: "more" },
  ],
};
const BUS = "    -b, --bus <bus-id>    filter by bus\n";

test.each([
  ["-b", `  Error: switch \`b' requires a value\n\n usage: tool do\n\n${BUS}`],
  ["--bus", `  Error: option \`bus' requires a value\n\n usage: tool do\n\n${BUS}`],
  ["--no-bus=1", `  Error: option \`no-bus' takes no value\n\n usage: tool do\n\n${BUS}`],
  ["--h", "  Error: Ambiguous option: h (could be --health or --human)\n\n usage: tool do\n\n"],
  // The v is a switch; what follows begins a long name that starts so.
  ["-verb", "  Error: did you mean `--verb` (with two dashes ?)\n"],
  [
    "--size=x",
    "  Error: option `size' expects a numerical value\n\n usage: tool do\n\n    -s, --size <n>        bytes\n",
  ],
])("`%s` is answered with what is wrong, and of the options with that one alone", (argument, text) => {
  expect(answerTo(argument)).toMatchObject({ text, status: 129 });
});

function answerTo(...args: string[]): ToolAnswer | undefined {
  try {
    parseToolOptions(args, USAGE);
    return undefined;
  } catch (error) {
    if (error instanceof ToolAnswer) return error;
    throw error;
  }
}

test("a long option may be cut short, taken back, and one that says no is taken back by its name without it", () => {
  const { flags, counts, values } = parseToolOptions(
    ["--he", "--no-online", "--online", "--bus=0", "--no-bus", "--no-autol", "-vv"],
    USAGE,
  );
  expect([...flags]).toEqual(["health", "verbose"]);
  expect(counts.get("verbose")).toBe(2);
  expect(values.has("bus")).toBe(false);
});

test("behind -- everything is an operand, and so is a single dash", () => {
  expect(parseToolOptions(["-", "--", "-u"], USAGE).operands).toEqual(["-", "-u"]);
});

test("JSON has no space behind a colon, escaped slashes, and sizes for people", () => {
  expect(formatJson({ path: "/a", list: [1], none: undefined })).toBe(
    '{\n  "path":"\\/a",\n  "list":[\n    1\n  ]\n}',
  );
  expect(jsonSize(1054867456, true)).toBe("1006.00 MiB (1054.87 MB)");
  expect(jsonSize(4096, true)).toBe(4096);
});
