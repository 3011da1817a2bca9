// `npm run release:version`: gives each package that has changesets its next version, and writes CHANGELOGs and each version.ts. Below 1.0 a
// minor version leaves the range `^0.x` of the packages that depend on it, so that these get a version, too.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tellFirstReleases } from "./first-releases.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FOLDERS = ["packages", "apps"].flatMap((group) =>
  readdirSync(join(ROOT, group)).map((name) => join(ROOT, group, name)),
);

tellFirstReleases(ROOT, FOLDERS.map(manifestOf));
run("changeset", "version");
for (const folder of FOLDERS) writeVersion(folder);
run("oxfmt");

/** The version in the code, which onlyVersion() records. @param {string} folder of a package */
function writeVersion(folder) {
  const { name, version } = manifestOf(folder);
  const path = join(folder, "src/version.ts");
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace(/^onlyVersion\(.*\);$/m, `onlyVersion("${name}", "${version}");`));
}

/** @param {string} folder */
function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** Runs a program of node_modules. @param {string} program @param {string[]} args */
function run(program, ...args) {
  execFileSync(join(ROOT, "node_modules/.bin", program), args, { cwd: ROOT, stdio: "inherit" });
}
