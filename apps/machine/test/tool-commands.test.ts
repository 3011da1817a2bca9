// What ndctl and daxctl answer before they look at any device: help, version, lists for shells, and calls that aren't understood. The
// words are those that version 76.1 printed when it was asked.
import { expect, test } from "vitest";
import { parseToolOptions, ToolAnswer, type ToolUsage } from "../src/shell/programs/tool/options.ts";
import { testShell } from "./shell-machine.ts";

const { sh } = testShell();
const HELP = (name: string): string =>
  `\n usage: ${name} [--version] [--help] COMMAND [ARGS]\n\n\n See '${name} help COMMAND' for more information on a specific command.\n ${name} --list-cmds to see all available commands\n\n`;
const NO_MAN =
  "  Warning: failed to exec 'man': No such file or directory\nno man viewer handled the request";

test.each([
  ["ndctl", HELP("ndctl"), "", 1],
  ["ndctl help", HELP("ndctl"), "", 0],
  ["daxctl help", HELP("daxctl"), "", 0],
  ["ndctl -h", HELP("ndctl"), "", 0],
  ["daxctl --help", HELP("daxctl"), "", 0],
  ["ndctl version", "76.1\n", "", 0],
  ["daxctl -v", "76.1\n", "", 0],
  ["ndctl --foo", "", "Unknown option: --foo\n\n Usage: ndctl [--version] [--help] COMMAND [ARGS]\n", 129],
  ["ndctl -x list", "", "Unknown option: -x\n\n Usage: ndctl [--version] [--help] COMMAND [ARGS]\n", 129],
  ["ndctl toString", "", "Unknown command: 'toString'\n", 1],
  // There is no manual here, as on a host without man(1).
  ["ndctl help list", "", NO_MAN, 255],
  ["daxctl list --help", "", NO_MAN, 255],
  [
    "daxctl --list-cmds",
    "version\nlist\nhelp\nsplit-acpi\nmigrate-device-model\ncreate-device\ndestroy-device\nreconfigure-device\nonline-memory\noffline-memory\ndisable-device\nenable-device\n",
    "",
    0,
  ],
  ["daxctl online-memory --list-opts", "--region --human --verbose --no-movable ", "", 130],
  ["ndctl monitor", "", "ndctl: monitor: modules have no health: not modelled here\n", 1],
])("`%s` is answered before any device is looked at", (line, stdout, stderr, status) => {
  expect(sh(line)).toMatchObject({ stdout, stderr, status });
});

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

test("each command of --list-cmds is there", () => {
  for (const tool of ["ndctl", "daxctl"]) {
    const names = sh(`${tool} --list-cmds`).stdout.trim().split("\n");
    for (const name of names) expect(sh(`${tool} ${name} -h`).stderr).not.toContain("Unknown command");
  }
});
