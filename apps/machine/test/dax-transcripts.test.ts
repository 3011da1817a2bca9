// The captures of dax devices and kmem, typed into the machine that their host is made of: every answer of every tool, as
// text.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nodeId } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { BUNDLED_CAPTURES, openTree } from "@hetmem/host-capture/node";
import { captureHost } from "@hetmem/host-capture";
import { createMachine } from "../src/machine.ts";
import type { MachineSpec } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { MASKS, replayTranscript, type ReplayResult } from "@hetmem/transcript";
import { PROGRAMS } from "../src/programs/index.ts";

const DAX = fileURLToPath(new URL("../fixtures/transcripts/dax", import.meta.url));
const { spec } = captureHost(openTree(BUNDLED_CAPTURES["nvdimm"]), "v6.1");
/** test_hmm's memory is of the node of the processor that loads it. That was another one when the host's tree was captured. */
const machine: MachineSpec = {
  ...spec,
  deviceSpans: (spec.deviceSpans ?? []).map((span) => ({ ...span, node: nodeId(0) })),
};

function replay(file: string, change: (text: string) => string = (text) => text, on = machine): ReplayResult {
  const text = change(readFileSync(`${DAX}/${file}`, "utf8"));
  return replayTranscript(new Shell(createMachine(on), PROGRAMS), text, { name: file, masks: MASKS });
}

test.each(readdirSync(DAX))("the machine answers %s as the captured kernel did", (file) => {
  expect(replay(file).diff).toBe("");
});

test.each(readdirSync(DAX))(
  "%s is answered alike by the machine of the tree, whose test_hmm is elsewhere",
  (file) => {
    expect(replay(file, undefined, spec).diff).toBe("");
  },
);

test.each([
  ["0", "too little"],
  ["393215", "less than both pieces"],
  ["264241153", "a page more than from the first to the last"],
])("a span of device memory of %s pages, which is %s, is found to differ", (pages) => {
  const change = (text: string): string => text.replace("spanned  264241152", `spanned  ${pages}`);
  expect(replay("devdax-to-system-ram.txt", change, spec).equal).toBe(false);
});

test.each([
  ["a size", /"size":1054867456/, '"size":1054867457'],
  ["a mode", /"mode":"system-ram"/, '"mode":"devdax"'],
  ["blocks online", /"online_memblocks":7/, '"online_memblocks":6'],
  ["a zone", /memory34\/valid_zones:Movable/, "memory34/valid_zones:Normal"],
  ["a resource", /108000000-13fffffff : dax0.0/, "101200000-13fffffff : dax0.0"],
  ["a tier", /memory_tier22\/nodelist:2/, "memory_tier4/nodelist:2"],
  ["an exit status", /\[exit 240\]/, "[exit 1]"],
])("a capture of dax with %s changed by hand is found to differ", (_what, pattern, replacement) => {
  expect(replay("devdax-to-system-ram.txt", (text) => text.replace(pattern, replacement)).equal).toBe(false);
});
