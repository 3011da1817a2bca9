// Imports each entry of each package and runs the examples of the READMEs, in the project that this file is copied into, and prints as
// JSON what came of them. JavaScript, since Node 20 reads no types.
import { readFileSync } from "node:fs";

const { entries, examples } = JSON.parse(readFileSync(new URL("smoke.json", import.meta.url), "utf8"));
const print = console.log;

/** Number of exports by entry, or why it isn't imported. */
const imported = {};
for (const entry of entries)
  imported[entry] = await import(entry).then((module) => Object.keys(module).length, String);

/** Number of lines that an example prints by file, or why it doesn't run. */
const printed = {};
for (const example of examples) {
  let lines = 0;
  console.log = () => void lines++;
  printed[example] = await import(`./examples/${example}`).then(() => lines, String);
}

print(JSON.stringify({ node: process.versions.node, imported, printed }));
