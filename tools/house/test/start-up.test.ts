// What the start of the program costs, beside a Node that does nothing. The limits are those that users are promised: 110 ms for
// `--help` and 200 ms for a boot where `node -e 0` takes 62. The processors are busy with other tests: the least of a few runs counts.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ROOT } from "../src/workspace.ts";

const PROGRAM = join(ROOT, "apps/machine/dist/hetmem.cjs");
const LAPTOP = join(ROOT, "apps/machine/fixtures/machines/laptop.yaml");
const RUNS_MIN = 3;
const RUNS_MAX = 20;

const folder = mkdtempSync(join(tmpdir(), "hetmem-start-up-"));
afterAll(() => rmSync(folder, { recursive: true }));
const told = join(folder, "told");
/** Loaded before a program: tells the milliseconds of processor time that its process took. */
const teller = join(folder, "teller.cjs");
writeFileSync(
  teller,
  `process.on("exit", () => {
    const { user, system } = process.cpuUsage();
    require("node:fs").writeFileSync(${JSON.stringify(told)}, String((user + system) / 1000));
  });`,
);

function cpuMs(...args: readonly string[]): number {
  const { status } = spawnSync(process.execPath, ["--require", teller, ...args], { stdio: "ignore" });
  expect(status).toBe(0);
  return Number(readFileSync(told, "utf8"));
}

test.each([
  ["hetmem --help", [PROGRAM, "--help"], 110 / 62],
  ["hetmem boot of the laptop", [PROGRAM, "boot", "--machine", LAPTOP], 200 / 62],
])("%s costs little more than Node", (_what, args, limit) => {
  let [own, yardstick] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let run = 0; run < RUNS_MAX && (run < RUNS_MIN || own / yardstick > limit); run++) {
    yardstick = Math.min(yardstick, cpuMs("-e", "0"));
    own = Math.min(own, cpuMs(...args));
  }
  expect(own / yardstick).toBeLessThanOrEqual(limit);
});

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
