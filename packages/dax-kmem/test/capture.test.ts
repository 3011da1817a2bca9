// The transcript of an administrator who binds kmem by hand on a 6.1 kernel, replayed.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { addNamespace, kmemMachine } from "@hetmem/test-machines/kmem-machine";
import { parseTranscript, runCommand } from "./transcript.ts";

const steps = parseTranscript(readFileSync(new URL("../fixtures/kmem-by-hand.txt", import.meta.url), "utf8"));

test("every command of the captured transcript prints here what it printed there", () => {
  const machine = kmemMachine();
  addNamespace(machine);
  let replayed = 0;
  for (const { command, output } of steps) {
    const printed = runCommand(machine, command);
    if (printed === undefined) continue;
    replayed++;
    expect([command, ...printed]).toEqual([command, ...output]);
  }
  expect(replayed).toBe(steps.length - 3);
});

test("the log says what the captured one says of memory that can't be removed and of a range that is taken", () => {
  const machine = kmemMachine();
  addNamespace(machine);
  for (const { command } of steps) runCommand(machine, command);
  const ours = machine.dmesg();
  const theirs = steps
    .filter(({ command }) => command.startsWith("dmesg"))
    .flatMap(({ output }) => output.map((line) => line.replace(/^\[ *\d+\.\d+\] /, "")))
    .filter((line) => /dax|removing memory/.test(line));
  expect(theirs).toHaveLength(5);
  for (const line of theirs) expect(ours).toContain(line);
});
