// The program that users run: bundles with the code that V8 compiled of them. What a start costs is measured in
// apps/machine/bench/start-up.mjs.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../src/workspace.ts";

const PROGRAM = join(ROOT, "apps/machine/dist/hetmem.cjs");
const LAPTOP = join(ROOT, "apps/machine/fixtures/machines/laptop.yaml");

test("the commands start with the code that the build kept", () => {
  const script = join(ROOT, "apps/machine/dist/commands.cjs");
  const module = new URL(`file://${join(ROOT, "apps/machine/dist/executable/code-cache.js")}`).href;
  const look = `
    import { readFileSync } from "node:fs";
    import { codeFileOf, compile, keptCode } from "${module}";
    const source = readFileSync("${script}");
    const code = keptCode(codeFileOf("${script}"), source);
    console.log(code !== undefined && compile("${script}", source, code).cachedDataRejected);
  `;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", look], { encoding: "utf8" });
  expect(stdout).toBe("false\n");
});

test("code that was made under other flags of V8 is rejected, and the program runs", () => {
  const { stdout, status } = spawnSync(
    process.execPath,
    ["--no-opt", PROGRAM, "boot", "--machine", LAPTOP, "--json"],
    {
      encoding: "utf8",
    },
  );
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ machine: { name: "laptop" } });
});

test("the bundles are in ASCII, and stand alone but for Node", () => {
  for (const name of ["hetmem.cjs", "commands.cjs"]) {
    const code = readFileSync(join(ROOT, "apps/machine/dist", name), "latin1");
    expect(/[^\0-\x7f]/.exec(code)?.[0], name).toBeUndefined();
    const required = [...code.matchAll(/\brequire\("([^"]+)"\)/g)].map(([, request = ""]) => request);
    expect(required.filter((request) => !isBuiltin(request))).toEqual([]);
  }
});
