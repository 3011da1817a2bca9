// Replays of a real 6.1 kernel's captures: the output of every command, compared as text.
import { Shell } from "@hetmem/shell";
import { replayTranscript } from "@hetmem/transcript";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { BUNDLED_CAPTURES, openTree } from "@hetmem/host-capture/node";
import { captureHost } from "@hetmem/host-capture";
import { createMachine } from "../src/machine.ts";
import { PROGRAMS } from "../src/programs/index.ts";

const HOTPLUG = fileURLToPath(new URL("../fixtures/transcripts/hotplug", import.meta.url));
const { spec } = captureHost(openTree(BUNDLED_CAPTURES["hidden-ram"]), "v6.1");

function replay(
  file: string,
  change: (text: string) => string = (text) => text,
): { equal: boolean; diff: string } {
  const text = change(readFileSync(`${HOTPLUG}/${file}`, "utf8"));
  return replayTranscript(new Shell(createMachine(spec), PROGRAMS), text, { name: file });
}

test.each(readdirSync(HOTPLUG))("the machine answers %s as the captured kernel did", (file) => {
  expect(replay(file).diff).toBe("");
});

test.each([
  ["a zone", /memory34\/valid_zones:Movable$/m, "memory34/valid_zones:Normal"],
  ["a state", /memory33\/state:online$/m, "memory33/state:offline"],
  ["an errno", /write error: File exists/, "write error: Invalid argument"],
  ["an exit status", /\[exit 1\]/, "[exit 2]"],
  ["a zone's span", /spanned {2}258048/, "spanned  258047"],
])("a capture with %s changed by hand is found to differ", (_what, pattern, replacement) => {
  expect(replay("probe.txt", (text) => text.replace(pattern, replacement)).equal).toBe(false);
});
