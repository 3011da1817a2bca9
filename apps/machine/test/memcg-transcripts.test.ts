// The capture of a cgroup's files, with the answers to odd writes, typed into the machine that its host is made of.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { BUNDLED_CAPTURES, openTree } from "@hetmem/host-capture/node";
import { captureHost } from "@hetmem/host-capture";
import { createMachine } from "../src/machine.ts";
import type { MachineSpec } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { replayTranscript, type ReplayResult } from "@hetmem/transcript";
import { PROGRAMS } from "../src/programs/index.ts";

const MEMCG = fileURLToPath(new URL("../fixtures/transcripts/memcg", import.meta.url));
const { spec } = captureHost(openTree(BUNDLED_CAPTURES["hidden-ram"]), "v6.1");
/** That kernel was built without CONFIG_PSI. */
const machine: MachineSpec = { ...spec, options: { ...spec.options, cgroup_disable: ["pressure"] } };

function replay(file: string, change: (text: string) => string = (text) => text): ReplayResult {
  const text = change(readFileSync(`${MEMCG}/${file}`, "utf8"));
  return replayTranscript(new Shell(createMachine(machine), PROGRAMS), text, { name: file });
}

test.each(readdirSync(MEMCG))("the machine answers %s as the captured kernel did", (file) => {
  expect(replay(file).diff).toBe("");
});

test.each([
  ["a limit that isn't a number of pages", /^4096$/m, "4097"],
  ["an errno", /write error: Invalid argument/, "write error: Numerical result out of range"],
  ["a key of memory.stat", /memory.stat:sec_pagetables 0/, "memory.stat:pagetables 0"],
  ["a node", /numa_stat:anon N0=0 N1=0/, "numa_stat:anon N0=0"],
  ["a file that can't be read", /memory.reclaim: Invalid argument/, "memory.reclaim: Permission denied"],
  ["a file", /^cgroup\.type\n/m, ""],
  ["an exit status", /\[exit 2\]/, "[exit 1]"],
])("a capture of cgroups with %s changed by hand is found to differ", (_what, pattern, replacement) => {
  expect(replay("files-of-a-cgroup.txt", (text) => text.replace(pattern, replacement)).equal).toBe(false);
});
