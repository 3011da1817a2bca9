// Answers of ndctl and daxctl that need no device: help, version, lists for shells. The
// words are those that version 76.1 printed when it was asked.
import { expect, test } from "vitest";
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

test("each command of --list-cmds is there", () => {
  for (const tool of ["ndctl", "daxctl"]) {
    const names = sh(`${tool} --list-cmds`).stdout.trim().split("\n");
    for (const name of names) expect(sh(`${tool} ${name} -h`).stderr).not.toContain("Unknown command");
  }
});
