// Bundles the command line, as the last step of a build: dist/hetmem.cjs is the executable, dist/commands.cjs what it runs, and
// dist/commands.VERSION.code the code that this Node compiled of that. All that was built of the packages is in the bundles.
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { codeFileOf, codeToKeep, compile, exportsOf } from "../dist/executable/code-cache.js";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(HERE, "dist");
/** The machine whose boot decides which functions are kept compiled. */
const LAPTOP = join(HERE, "fixtures/machines/laptop.yaml");

for (const name of readdirSync(DIST)) if (name.endsWith(".code")) rmSync(join(DIST, name));
const executable = await bundle("executable/executable.js", "hetmem.cjs", "#!/usr/bin/env node\n");
chmodSync(join(DIST, "hetmem.cjs"), 0o755);
const commands = await bundle("commands/commands.js", "commands.cjs");
writeFileSync(join(DIST, "licenses.txt"), licensesOf([...executable, ...commands]));
keepCode(join(DIST, "commands.cjs"));

/** @param {string} entry @param {string} file @param {string} banner @returns {Promise<string[]>} the files in the bundle */
async function bundle(entry, file, banner = "") {
  const built = await rolldown({ input: join(DIST, entry), platform: "node" });
  const { output } = await built.generate({
    format: "cjs",
    codeSplitting: false,
    comments: { annotation: false, jsdoc: false },
  });
  const [{ code, moduleIds }] = output;
  writeFileSync(join(DIST, file), banner + inAscii(code));
  return moduleIds;
}

/**
 * A script whose strings are written with escapes. Node reads a byte a character then, and V8 keeps it so.
 *
 * @param {string} code
 */
function inAscii(code) {
  if (/String\.raw`[^`]*[^\0-\x7f]/.test(code)) throw new Error("an escape in String.raw would be no escape");
  return code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The licences of the packages of others that files are of: a copy of their code must carry them. @param {string[]} files */
function licensesOf(files) {
  const folders = files.flatMap(
    (file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? [],
  );
  return [...new Set(folders)]
    .sort()
    .map((folder) => {
      const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
      if (!file) throw new Error(`${name} says nowhere under which licence it may be copied`);
      return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

/** Boots a machine, so that all that a boot calls is compiled, and keeps the code. @param {string} file */
function keepCode(file) {
  const source = readFileSync(file);
  const script = compile(file, source);
  const { boot } = exportsOf(script, file);
  const terminal = { write() {}, writeError() {}, columns: 100, colours: false, self: "hetmem" };
  boot({ machine: LAPTOP }, terminal);
  writeFileSync(codeFileOf(file), codeToKeep(script, source));
}
