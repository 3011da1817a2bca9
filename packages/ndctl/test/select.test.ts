// The choice of devices, and the status of a command that does a step to each.
import { KernelError, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { actedOn, forEach, forEachSilently, type NdStep } from "../src/ndctl/select.ts";
import { labelled, machine } from "./ndctl-machine.ts";

/** Does what a word says. */
function* step(word: string): Generator<never, NdStep, void> {
  if (word === "refuse") throw new KernelError("EBUSY", "it is in use");
  return word === "skip" ? "skipped" : "done";
}

function* silentStep(word: string): Generator<never, void, void> {
  yield* step(word);
}

test.each([
  [[], 0, 0],
  [["do", "refuse"], 1, 0],
  [["refuse", "refuse"], 0, 1],
])("of the steps %j, %i are done, and the status is %i where refusals are silent", (words, done, status) => {
  expect(run(forEachSilently(words, silentStep))).toEqual({ done, status });
});

test.each<[string[], number, boolean]>([
  [["refuse", "do"], 1, false],
  [["do", "skip", "refuse"], 1, true],
  [[], 0, true],
])(
  "of the steps %j, %i are done, and the last one's refusal is the command's: %s",
  (words, done, refused) => {
    const told: string[] = [];
    const io = { err: (text: string) => void told.push(text) } as Parameters<typeof forEach>[0];
    const result = run(forEach(io, words, "error", { missing: "ENXIO" }, step));
    expect([result.done, result.status !== 0, told.length]).toEqual([done, refused, Number(refused)]);
  },
);

test("all namespaces are those with a size, labels or not, and not the one that is to be configured next", () => {
  const unlabelled = machine();
  expect(run(actedOn(unlabelled.context, {}, "all")).map(({ name }) => name)).toEqual(["namespace0.0"]);
  const made = labelled();
  const { name } = run(made.create({ mode: "raw", size: 64 * 2 ** 20 }));
  expect(run(actedOn(made.context, {}, "all")).map((each) => each.name)).toEqual([name]);
});
