// machine-file.schema.json says what the reader of machine files takes: an editor that checks a file by it complains of what the
// reader refuses for its shape, and of nothing else.
import { join } from "node:path";
import { Ajv } from "ajv";
import { expect, test } from "vitest";
import { machineOfYaml } from "../../src/yaml.ts";
import { readMachineFile } from "../../src/yaml-schema.ts";
import { machineFileSchema } from "../machine-file-schema.ts";

const SCHEMA = machineFileSchema();
const fits = new Ajv({ allowUnionTypes: true }).compile(SCHEMA);

test("machine-file.schema.json is drawn from the schema that reads files", async () => {
  const hint = "the schema has changed; `npm run reference` writes the file anew";
  const text = `${JSON.stringify(SCHEMA, undefined, 2)}\n`;
  await expect(text, hint).toMatchFileSnapshot(join(import.meta.dirname, "../../machine-file.schema.json"));
});

/** A machine with a value for each name. */
const FULL = {
  name: "full",
  profile: "v6.1",
  release: 6.1,
  block_size: "128M",
  physical_bits: 40,
  direct_map_bits: 46,
  max_memory: "64G",
  pci_hole: { start: "3G", end: "4G" },
  nodes: [
    { id: 0, memory: "2G", cpus: "0-3", hotpluggable: false },
    { id: 1, memory: ["1G", { start: "8G", size: "1G" }], cpus: [4, 5] },
    { id: 2, memory: { start: "16G", size: "1G" }, cpus: 6 },
  ],
  distances: [
    [10, 20, 20],
    [20, 10, 20],
    [20, 20, 10],
  ],
  hidden: [{ start: "20G", size: "1G", node: 1 }],
  devices: [
    {
      name: "Persistent Memory",
      start: "24G",
      size: "1G",
      node: 1,
      modules: 2,
      persistence_domain: "cpu_cache",
    },
  ],
  gpus: [
    {
      name: "gpu0",
      memory: "coherent",
      size: "64M",
      start: "32G",
      node: 0,
      policy: "migrate-on-touch",
      latency: { setup_ns: 1, kib_ns: 2, flush_ns: 3 },
    },
    { size: "64M", latency: "pcie" },
  ],
  rules: [{ device: "dax*", run: "true" }],
  options: {
    kernelcore: "1G",
    movablecore: 0,
    movable_node: false,
    memmap_on_memory: true,
    memhp_default_state: "online",
    placement: "any-order",
    auto_movable_ratio: 100,
    auto_movable_numa_aware: false,
    cgroup_disable: "memory,pressure",
    kconfig: ["CONFIG_MEMCG"],
  },
  cgroup: "v2",
  swap: [{ path: "/dev/vdb", size: "64M", priority: 1 }],
  sysctl: { "vm.swappiness": 10 },
};

/** Values that some names take and others don't. */
const VALUES: readonly unknown[] = [
  [undefined, null, true, false, 0, 1, 3, 16, 4096, -1, 4.5, 100_000, 2 ** 53],
  ["", "none", "pcie", "private", "coherent", "online", "offline", "strict", "v1", "v4.14", "v9", "memory"],
  ["memory,memory", "pressure,memory", "cpu_cache", "0", " 0-3,8 ", "1,,2", "0-", "0 -3", "100000", "-1"],
  ["4K", "0x1000", " 64MiB ", "1kb", "4X", "1.5G", "0o7", "line\nline", "tab\t", "\u202e", "x".repeat(4097)],
  [[], [1], [-1], ["4G"], ["memory"], ["memory", "memory"], [{}], [[10]], {}, { start: 0 }, { "a.b": 1 }],
  [{ start: "1G", end: "2G" }, { setup_ns: 1, kib_ns: 2, flush_ns: 3 }, { "a.b": "1" }],
  [Array.from({ length: 2000 }, () => "4G")],
].flat();

/** The file with another value at each place in turn, and with a name at each group that means nothing. */
function* variants(value: unknown, place = ""): Generator<{ place: string; file: unknown }> {
  for (const other of VALUES)
    yield { place: `${place}: ${JSON.stringify(other)?.slice(0, 30)}`, file: other };
  if (typeof value !== "object" || value === null) return;
  for (const [key, part] of Object.entries(value))
    for (const variant of variants(part, `${place}.${key}`))
      yield { ...variant, file: withPart(value, key, variant.file) };
  if (!Array.isArray(value)) yield { place: `${place}.nothing`, file: { ...value, nothing: 1 } };
}

function withPart(whole: object, key: string, part: unknown): unknown {
  if (Array.isArray(whole)) return whole.with(Number(key), part);
  // As in a file: a name that isn't there has no value, and not an undefined one.
  return Object.fromEntries(
    Object.entries({ ...whole, [key]: part }).filter(([, value]) => value !== undefined),
  );
}

test("whatever stands at a place of a file, the JSON Schema refuses it if the reader does", () => {
  const all = [...variants(FULL)].filter(({ file }) => file !== undefined);
  const different = all.filter(({ file }) => fits(file) !== "file" in readMachineFile(file));
  expect(different.map(({ place }) => place)).toEqual([]);
  const taken = all.filter(({ file }) => fits(file)).length;
  expect(taken).toBeGreaterThan(500);
  expect(all.length - taken).toBeGreaterThan(2000);
});

test("some things only the reader knows: numbers that run backwards or past 2^53, and what makes a machine", () => {
  const node = (memory: string, cpus: string): string => `nodes: [{ memory: ${memory}, cpus: ${cpus} }]\n`;
  for (const [memory, cpus] of [
    ["1G", "3-0"],
    ["8000T", "0"],
    ["1K", "0"],
  ] as const) {
    expect(fits({ nodes: [{ memory, cpus }] })).toBe(true);
    expect(() => machineOfYaml(node(memory, cpus), "m.yaml")).toThrow("EINVAL");
  }
});

test("each name has a sentence that documents it", () => {
  expect([...undocumented(SCHEMA, "")]).toEqual([]);
});

interface Documented {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Documented>>;
  readonly items?: Documented;
  readonly anyOf?: readonly Documented[];
}

function* undocumented(shape: Documented, path: string): Generator<string> {
  for (const [name, value] of Object.entries(shape.properties ?? {})) {
    if (!value.description?.endsWith(".")) yield `${path}${name}`;
    yield* undocumented(value, `${path}${name}.`);
  }
  for (const part of [...(shape.items ? [shape.items] : []), ...(shape.anyOf ?? [])])
    yield* undocumented(part, path);
}
