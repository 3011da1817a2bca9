// Two copies of a package in one node_modules. In two versions, the second isn't loaded, and says which ones they are. In one version,
// they go together: errors, signals and objects of one are known to the other.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, inject, test } from "vitest";
import { type Published, PUBLISHED } from "../src/published.ts";

const PROJECT = inject("stranger");

/** Copies an installed package to another folder, where it finds the same dependencies. @returns the folder */
function copyOf({ name }: Published, folder: string): string {
  const installed = realpathSync(join(PROJECT, "node_modules", name));
  const copy = join(PROJECT, folder, name);
  mkdirSync(dirname(copy), { recursive: true });
  cpSync(installed, copy, { recursive: true, filter: (path) => !path.endsWith("/node_modules") });
  const siblings = join(installed, ...name.split("/").map(() => ".."));
  symlinkSync(siblings, join(copy, "node_modules"));
  return copy;
}

/** Writes a release of the copied package that has another version, as `npm run release:version` does. */
function release(copy: string, from: string, to: string): void {
  for (const file of ["package.json", "dist/version.js"]) {
    const text = readFileSync(join(copy, file), "utf8");
    expect(text).toContain(`"${from}"`);
    writeFileSync(join(copy, file), text.replace(`"${from}"`, `"${to}"`));
  }
}

/** Runs a module in the project. @returns what it printed */
function runModule(file: string, code: string): string {
  writeFileSync(join(PROJECT, file), code);
  return execFileSync(process.execPath, [file], { cwd: PROJECT, encoding: "utf8", stdio: "pipe" });
}

let refusals: Readonly<Record<string, string>>;

beforeAll(() => {
  for (const one of PUBLISHED) release(copyOf(one, "next"), one.version, "7.7.7");
  refusals = JSON.parse(
    runModule(
      "versions.mjs",
      `const said = {};
for (const name of ${JSON.stringify(PUBLISHED.map(({ name }) => name))}) {
  await import(name);
  said[name] = await import(\`./next/\${name}/dist/index.js\`).then(() => "loaded", String);
}
console.log(JSON.stringify(said));`,
    ),
  ) as Readonly<Record<string, string>>;
});

test.each(PUBLISHED)("a second version of $name is refused, by a sentence with both", ({ name, version }) => {
  expect(refusals[name]).toContain(
    `KernelError: ENOEXEC: versions ${version} and 7.7.7 of ${name} are both in this program`,
  );
});

/** Classes by which packages take objects of one another for what they are, by the file that has them. */
const ACROSS_COPIES = [
  ["@hetmem/kernel", "error.js", "KernelError"],
  ["@hetmem/kernel", "error.js", "KernelBug"],
  ["@hetmem/memcg", "memory-cgroup.js", "MemoryCgroup"],
  ["@hetmem/mm", "process/process.js", "Process"],
  ["@hetmem/page", "host-array.js", "HostMemoryError"],
  ["@hetmem/page-cache", "open-file.js", "OpenFile"],
  ["@hetmem/page-cache", "shmem-inode.js", "ShmemInode"],
  ["@hetmem/shell", "pipe.js", "PipeWait"],
  ["@hetmem/shell", "problem.js", "ControlFlow"],
  ["@hetmem/shell", "problem.js", "ShellProblem"],
  ["@hetmem/shell", "streams.js", "FileOutput"],
  ["@hetmem/shell", "streams.js", "Input"],
] as const;

test("in one version, each copy knows the errors, the signals and the files of the other", () => {
  const names: readonly string[] = ACROSS_COPIES.map(([name]) => name);
  for (const one of PUBLISHED.filter(({ name }) => names.includes(name))) copyOf(one, "again");
  const answers = runModule(
    "again.mjs",
    `const ACROSS = [];
for (const [name, file, theClass] of ${JSON.stringify(ACROSS_COPIES)}) {
  const { [theClass]: First } = await import(\`./node_modules/\${name}/dist/\${file}\`);
  const { [theClass]: Again } = await import(\`./again/\${name}/dist/\${file}\`);
  const object = Object.create(First.prototype);
  const isOther = ACROSS.some((Other) => object instanceof Other);
  console.log(theClass, First !== Again, object instanceof Again, isOther);
  ACROSS.push(Again);
}`,
  );
  const two = ACROSS_COPIES.map(([, , theClass]) => `${theClass} true true false`);
  expect(answers.trimEnd().split("\n")).toEqual(two);
});

test("a machine of one copy throws errors that the other copy catches", () => {
  const [kernel] = PUBLISHED.filter(({ name }) => name === "@hetmem/kernel");
  if (!kernel) throw new Error("@hetmem/kernel isn't published");
  copyOf(kernel, "other");
  const caught = runModule(
    "catches.mjs",
    `import { createMachine, machineOfYaml } from "hetmem";
import { KernelError, run } from "./other/@hetmem/kernel/dist/index.js";
const text = "name: small\\nnodes:\\n  - memory: { start: 0, end: 1G }\\n    cpus: 0\\n";
const machine = createMachine(machineOfYaml(text, "small.yaml", "v6.1"));
try {
  run(machine.vfs.read("/sys/none"));
} catch (error) {
  console.log(error instanceof KernelError, error.errno);
}`,
  );
  expect(caught).toBe("true ENOENT\n");
});
