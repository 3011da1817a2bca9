// The reference of machine files is drawn from their JSON Schema, which takes the machine files of this repository. The defaults
// that it names are those of machines.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { createMachine, machineOfYaml } from "hetmem";
import { KernelError, run } from "@hetmem/kernel";
import type { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { groupsIn, MACHINE_FILE, machineFilePage } from "../../src/reference/machine-file-page.ts";
import { packages, readText, ROOT } from "../../src/workspace.ts";

const fits = new Ajv({ allowUnionTypes: true }).compile(MACHINE_FILE);
const MACHINES = "apps/machine/fixtures/machines";

test("docs/machine-file.md is drawn from the JSON Schema", async () => {
  const hint = "the schema of machine files has changed; `npm run reference` writes the page anew";
  await expect(machineFilePage(), hint).toMatchFileSnapshot(join(ROOT, "docs/machine-file.md"));
});

test.each(readdirSync(join(ROOT, MACHINES)))("the JSON Schema takes %s", (file) => {
  fits(parse(readText(join(MACHINES, file))));
  expect(fits.errors).toBe(null);
});

/** Machines that documents show: whole ones, and pieces of one. */
const SHOWN = [
  "README.md",
  "docs/machine-file.md",
  ...packages().map(({ folder }) => `${folder}/README.md`),
].flatMap((file) =>
  [...readText(file).matchAll(/```yaml\n([^]*?)```/g)].map(([, text = ""]) => [file, text] as const),
);

test.each(SHOWN)("the JSON Schema takes what %s shows", (_file, text) => {
  fits({ nodes: [], ...(parse(text) as object) });
  expect(fits.errors).toBe(null);
});

/** A machine with a group at each place that has defaults, under the release with the most files. */
const BASE = {
  profile: "v6.1",
  nodes: [{ memory: "1G", cpus: 0 }, { memory: "1G" }],
  devices: [{ name: "Persistent Memory", start: "8G", size: "1G" }],
  gpus: [{ size: "64M" }],
  options: {},
};
const BASE_MACHINE = machineOf(BASE);

const DEFAULTS = [...groupsIn(MACHINE_FILE)].flatMap(({ place, shape }) =>
  Object.entries(shape.properties ?? {}).flatMap(([name, value]) =>
    value.default === undefined
      ? []
      : [{ name: place === "" ? name : `${place}.${name}`, value: value.default }],
  ),
);

test("a machine without a profile has the one that is the default", () => {
  const { profile: _, ...rest } = BASE;
  const { value } = DEFAULTS.find(({ name }) => name === "profile") ?? {};
  expect(machineOf(rest)).toEqual(machineOf({ ...rest, profile: value }));
});

test.each(DEFAULTS.filter(({ name }) => name !== "profile"))(
  "the default of $name is $value",
  ({ name, value }) => {
    expect(machineOf(written(BASE, name.split("."), value))).toEqual(BASE_MACHINE);
  },
);

/** The group with a value at the place, in each entry of a list. */
function written(group: object, [key = "", ...rest]: readonly string[], value: unknown): object {
  if (rest.length === 0) return { ...group, [key]: value };
  const name = key.replace("[]", "");
  const [part] = Object.entries(group).flatMap(([own, it]) => (own === name ? [it as object] : []));
  const parts = (Array.isArray(part) ? part : [part]).map((entry: object) => written(entry, rest, value));
  return { ...group, [name]: Array.isArray(part) ? parts : parts[0] };
}

/** What a machine shows of itself: its files, and its gpus, whose choices no file shows. */
function machineOf(file: object): unknown {
  const spec = machineOfYaml(stringify(file), "machine.yaml");
  const { vfs } = createMachine(spec);
  const paths = ["/proc", "/sys"].flatMap((root) => [...vfs.walk(root)]);
  // The command line has the options as they were given.
  const files = paths.filter(({ kind, path }) => kind === "file" && path !== "/proc/cmdline");
  return { gpus: spec.gpus, files: files.map(({ path }) => [path, textOf(vfs, path)]) };
}

/** A file that can only be written, or answers with an error, shows nothing. */
function textOf(vfs: Vfs, path: string): string {
  try {
    return run(vfs.read(path));
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}
