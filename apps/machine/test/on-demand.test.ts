// A machine's programs that are loaded on demand are those that a machine has.
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell, type ShellResult } from "@hetmem/shell";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { drive, PROGRAMS_ON_DEMAND } from "../src/on-demand/index.ts";
import { PROGRAMS } from "../src/programs/index.ts";

const SPEC = machineOfYaml("nodes: [{ memory: 1G, cpus: 0-1 }]\nprofile: v6.1\n", "small.yaml");

/** Lines that run each of the programs. */
const LINES = [
  "daxctl list; ndctl --version; swapon -s; swapoff -a",
  "proc start qemu; proc mmap $(pidof qemu) 4M --populate; prlimit --pid 2 | head -2",
  "gpu help | head -1; explain / | head -3; migratepages; help",
].join("\n");

test("names and lines of help are the same", () => {
  const linesOf = (programs: typeof PROGRAMS): [string, string][] =>
    Object.entries(programs).map(([name, { summary }]) => [name, summary]);
  expect(linesOf(PROGRAMS_ON_DEMAND)).toEqual(linesOf(PROGRAMS));
});

test("each is loaded, and answers as the one that is there from the start", async () => {
  const answerOf = (programs: typeof PROGRAMS): Promise<ShellResult> =>
    drive(new Shell(createMachine(SPEC), programs).execute(LINES));
  const answer = await answerOf(PROGRAMS_ON_DEMAND);
  expect(answer).toEqual(await answerOf(PROGRAMS));
  expect(answer.output).toContain("76.1\n");
  expect(answer.output).not.toContain("not found");
});
