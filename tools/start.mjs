// `npm start`: installs and builds what isn't yet, says so on the standard error, and runs the command line of the machine. A
// built tree starts at once, and the standard output has nothing but the program's.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const INSTALLED = join(ROOT, "node_modules/.pnpm/lock.yaml");
const MACHINE = join(ROOT, "apps/machine");
const EXECUTABLE = join(MACHINE, "dist/hetmem.cjs");
/** What a build writes last. */
const BUILT = join(MACHINE, `dist/commands.${process.version}.code`);
const TICK_MS = 1000;
const { packageManager } = JSON.parse(read(join(ROOT, "package.json")));

if (!isInstalled()) {
  const install = ["install", "--frozen-lockfile", "--loglevel=error"];
  await step(
    "installing the pinned dependencies",
    "npx",
    "-y",
    "--loglevel=error",
    packageManager,
    ...install,
  );
}
if (!isBuilt()) {
  await step("building the packages", join(ROOT, "node_modules/.bin/tsc"), "-b", ...folders());
  await step("bundling the command line", process.execPath, join(MACHINE, "build/bundle.mjs"));
}
// In this process: another would cost its start, and ^C would end this one alone.
process.argv[1] = EXECUTABLE;
createRequire(import.meta.url)(EXECUTABLE);

/** Whether the last installation was of the lockfile that is there. */
function isInstalled() {
  return existsSync(INSTALLED) && read(INSTALLED) === read(join(ROOT, "pnpm-lock.yaml"));
}

/** Whether nothing that a build reads has changed since the last one with this Node. */
function isBuilt() {
  const built = changedAt(BUILT);
  const inputs = folders().flatMap((folder) => {
    const sources = readdirSync(join(folder, "src"), { recursive: true, encoding: "utf8" });
    return ["package.json", "tsconfig.json", "src", ...sources.map((file) => join("src", file))].map((file) =>
      join(folder, file),
    );
  });
  return (
    [EXECUTABLE, ...folders().map((folder) => join(folder, "dist"))].every((output) => existsSync(output)) &&
    [...inputs, join(MACHINE, "build/bundle.mjs")].every((input) => changedAt(input) < built)
  );
}

function folders() {
  return ["packages", "apps"].flatMap((group) =>
    readdirSync(join(ROOT, group)).map((name) => join(ROOT, group, name)),
  );
}

/** Milliseconds; 0 for a file that isn't there. @param {string} path */
function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** @param {string} path */
function read(path) {
  return readFileSync(path, "utf8");
}

/**
 * Runs a command and says what is going on, on a terminal each second. The output of the command is shown if it fails, and this
 * process ends with its status.
 *
 * @param {string} what @param {string} command @param {string[]} args
 */
async function step(what, command, ...args) {
  const { stderr } = process;
  const begun = performance.now();
  stderr.write(`${what} …${stderr.isTTY ? "" : "\n"}`);
  const tick = stderr.isTTY && setInterval(tell, TICK_MS);
  function tell() {
    stderr.write(`\r${what} … ${Math.round((performance.now() - begun) / 1000)} s`);
  }
  const { status, output } = await outcomeOf(command, args);
  clearInterval(tick || undefined);
  if (stderr.isTTY) stderr.write("\n");
  if (status === 0) return;
  stderr.write(`${output}${[command, ...args].join(" ")}: failed\n`);
  process.exit(status);
}

/** @param {string} command @param {string[]} args @returns {Promise<{ status: number, output: string }>} */
function outcomeOf(command, args) {
  return new Promise((resolve) => {
    let output = "";
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => (output += text));
    }
    child.on("error", (error) => resolve({ status: 1, output: `${error.message}\n` }));
    child.on("close", (code) => resolve({ status: code ?? 1, output }));
  });
}
