// Builds the program that users run, where it isn't built already, before the first test: several test files run it at once.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "./workspace.ts";

export function setup(): void {
  execFileSync(process.execPath, [join(ROOT, "tools/start.mjs"), "--version"], { stdio: "pipe" });
}
