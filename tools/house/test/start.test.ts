// `npm start` does nothing that is done already, says what it does, and leaves the output to the program.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ROOT } from "../src/workspace.ts";

interface Started {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

function start(...args: readonly string[]): Started {
  return spawnSync(process.execPath, [join(ROOT, "tools/start.mjs"), ...args], { encoding: "utf8" });
}

test("on a built tree the output is the program's alone", () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, "apps/machine/package.json"), "utf8"));
  expect(start("--version")).toMatchObject({ stdout: `${version}\n`, stderr: "", status: 0 });
});

test("the status of the program is that of npm start", () => {
  expect(start("no-such-command")).toMatchObject({ stdout: "", status: 2 });
});

test("npm adds nothing: what `npm start -- boot --json` prints is JSON", () => {
  const args = ["start", "--", "boot", "--json", "--machine", "apps/machine/fixtures/machines/laptop.yaml"];
  const { stdout, stderr, status } = spawnSync("npm", args, { cwd: ROOT, encoding: "utf8", env: npmless() });
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  expect(JSON.parse(stdout)).toMatchObject({ machine: { name: "laptop" } });
});

/** The environment without what an npm above has put there. */
function npmless(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
}

describe("a tree that isn't built", () => {
  let tree = "";
  const compiler = "node_modules/.bin/tsc";

  beforeEach(() => {
    tree = mkdtempSync(join(tmpdir(), "hetmem-start-"));
    for (const folder of ["tools", "packages/one/src", "apps/machine/src", "apps/machine/build"])
      mkdirSync(join(tree, folder), { recursive: true });
    for (const folder of ["node_modules/.bin", "node_modules/.pnpm"])
      mkdirSync(join(tree, folder), { recursive: true });
    cpSync(join(ROOT, "tools/start.mjs"), join(tree, "tools/start.mjs"));
    writeFileSync(join(tree, "package.json"), '{ "packageManager": "pnpm@10.34.9" }');
    for (const lock of ["pnpm-lock.yaml", "node_modules/.pnpm/lock.yaml"])
      writeFileSync(join(tree, lock), "lock\n");
    writeCompiler("mkdir -p packages/one/dist apps/machine/dist");
    writeFileSync(
      join(tree, "apps/machine/build/bundle.mjs"),
      `import { writeFileSync } from "node:fs";
      writeFileSync("apps/machine/dist/hetmem.cjs", 'console.log(process.argv.slice(2).join(" "));');
      writeFileSync(\`apps/machine/dist/commands.\${process.version}.code\`, "");`,
    );
  });
  afterEach(() => rmSync(tree, { recursive: true }));

  function writeCompiler(commands: string): void {
    writeFileSync(join(tree, compiler), `#!/bin/sh\n${commands}\n`);
    chmodSync(join(tree, compiler), 0o755);
  }

  function startThere(...args: readonly string[]): Started {
    return spawnSync(process.execPath, [join(tree, "tools/start.mjs"), ...args], { encoding: "utf8" });
  }

  test("is built once, and the standard error tells of it", () => {
    const told = "building the packages …\nbundling the command line …\n";
    expect(startThere("a", "b")).toMatchObject({ stdout: "a b\n", stderr: told, status: 0 });
    expect(startThere("a", "b")).toMatchObject({ stdout: "a b\n", stderr: "", status: 0 });
    writeFileSync(join(tree, "packages/one/src/new.ts"), "");
    expect(startThere("a")).toMatchObject({ stdout: "a\n", stderr: told });
  });

  test("ends with the compiler's words and status where it doesn't compile", () => {
    writeCompiler("echo 'one.ts(1,1): error TS1: wrong'; exit 3");
    const { stdout, stderr, status } = startThere("a");
    expect({ stdout, status }).toEqual({ stdout: "", status: 3 });
    expect(stderr).toContain("one.ts(1,1): error TS1: wrong\n");
    expect(existsSync(join(tree, "apps/machine/dist"))).toBe(false);
  });

  const hasTerminal = spawnSync("script", ["--version"]).status === 0;
  test.skipIf(!hasTerminal)("counts the seconds on a terminal (script of util-linux makes one)", () => {
    writeCompiler("sleep 2.3; mkdir -p packages/one/dist apps/machine/dist");
    const [output, command] = [
      join(tree, "output"),
      `${process.execPath} ${join(tree, "tools/start.mjs")} a`,
    ];
    const { stdout } = spawnSync("script", ["-qec", `${command} >${output}`, "/dev/null"], {
      encoding: "utf8",
    });
    expect(readFileSync(output, "utf8")).toBe("a\n");
    expect(stdout).toMatch(/building the packages … 1 s\rbuilding the packages … 2 s/);
  });
});
