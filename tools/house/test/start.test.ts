// `npm start` does nothing that is done already, and leaves the output to the program.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../src/workspace.ts";

function start(...args: readonly string[]): { readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, [join(ROOT, "tools/start.mjs"), ...args], { encoding: "utf8" });
}

test("on a built tree the output is the program's alone", () => {
  start("--version");
  expect(start("--version")).toMatchObject({ stdout: "0.0.0\n", stderr: "", status: 0 });
});

test("the status of the program is that of npm start", () => {
  expect(start("no-such-command")).toMatchObject({ stdout: "", status: 2 });
});
