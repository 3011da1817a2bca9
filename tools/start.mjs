// `npm start`: installs and builds what isn't yet, says so on the standard error, and runs the command line of the machine. A
// built tree starts at once, and the standard output has nothing but the program's.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const INSTALLED = join(ROOT, "node_modules/.pnpm/lock.yaml");
/** Written after each build. */
const BUILT = join(ROOT, "node_modules/.hetmem-built");
const { packageManager } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

if (!isInstalled())
  step(
    "installing the pinned dependencies",
    "npx",
    "-y",
    packageManager,
    "install",
    "--frozen-lockfile",
    "--silent",
  );
if (!isBuilt()) {
  step("building the packages", join(ROOT, "node_modules/.bin/tsc"), "-b", ...folders());
  writeFileSync(BUILT, "");
}
const cli = spawnSync(process.execPath, [join(ROOT, "apps/machine/dist/cli.js"), ...process.argv.slice(2)], {
  stdio: "inherit",
});
process.exit(cli.status ?? 1);

/** Whether the last installation was of the lockfile that is there. */
function isInstalled() {
  return existsSync(INSTALLED) && read(INSTALLED) === read(join(ROOT, "pnpm-lock.yaml"));
}

/** Whether nothing that a build reads has changed since the last one. */
function isBuilt() {
  const built = changedAt(BUILT);
  return folders().every((folder) => {
    const sources = readdirSync(join(folder, "src"), { recursive: true, encoding: "utf8" });
    const inputs = ["package.json", "tsconfig.json", ...sources.map((file) => join("src", file))];
    return inputs.every((file) => changedAt(join(folder, file)) < built) && existsSync(join(folder, "dist"));
  });
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

/** Runs a command, whose output goes to the standard error. @param {string} what @param {string} command @param {string[]} args */
function step(what, command, ...args) {
  console.error(`${what} …`);
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}
