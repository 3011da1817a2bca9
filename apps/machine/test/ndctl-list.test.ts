// What `ndctl list` chooses and how it shows it, and how commands about labels refuse: as version 76.1 does.
import { run } from "@hetmem/kernel";
import { beforeAll, expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell, type ShellResult } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

const spec = machineOfYaml(
  `name: two-modules
nodes:
  - { memory: 1G, cpus: 0-1 }
devices:
  - { name: Persistent Memory, start: 0x100000000, size: 2G, node: 0, modules: 2 }
`,
  "two-modules.yaml",
);

let sh: (line: string) => ShellResult;
beforeAll(() => {
  const shell = new Shell(createMachine(spec), PROGRAMS);
  sh = (line) => run(shell.execute(line));
  sh("ndctl create-namespace -m devdax -s 1G; ndctl create-namespace -m fsdax -s 512M");
});

/** Keys of what is printed, at the top and one below. */
function keysOf(line: string): string[][] {
  const shown: unknown = JSON.parse(sh(line).stdout);
  const items: unknown[] = Array.isArray(shown) ? shown : [shown];
  return items.map((item) => Object.keys(item as object));
}
const namesOf = (line: string): string[] =>
  [...sh(line).stdout.matchAll(/"dev":"([^"]*)"/g)].map(([, name = ""]) => name);

test("-X alone shows the namespaces in mode devdax, each with its dax region", () => {
  expect(namesOf("ndctl list -X")).toEqual(["namespace0.0"]);
  expect(keysOf("ndctl list -X")[0]).toContain("daxregion");
  expect(namesOf("ndctl list -NX")).toEqual(["namespace0.0", "namespace0.1"]);
});

test("-v shows namespaces, -vv all that there is, -vvv also what is idle and what regions can", () => {
  expect(keysOf("ndctl list -v")[0]).toContain("raw_uuid");
  expect(keysOf("ndctl list -vv")[0]).toEqual(["provider", "dev", "scrub_state", "dimms", "regions"]);
  expect(sh("ndctl list -vv").stdout).not.toContain('"capabilities"');
  expect(sh("ndctl list -vvv").stdout).toContain('"capabilities"');
  expect(namesOf("ndctl list -vvv")).toContain("namespace0.2");
});

test("a filter by bus, region or module shows those, and one by namespace shows nothing more", () => {
  expect(keysOf("ndctl list -b all -n namespace0.0")).toEqual([["provider", "dev", "scrub_state"]]);
  expect(namesOf("ndctl list -n 0.1")).toEqual(["namespace0.1"]);
  expect(sh("ndctl list -B -r 9")).toMatchObject({ stdout: "", status: 0 });
  expect(namesOf("ndctl list -m DevDAX")).toEqual(["namespace0.0"]);
});

test.each([
  ["-t foo", 'unknown type "foo" must be "pmem" or "blk"'],
  ["-m foo", "invalid mode: 'foo'"],
  ["-U foo", "invalid numa_node: 'foo'"],
])("list %s is refused with EINVAL's status", (options, text) => {
  expect(sh(`ndctl list ${options}`)).toMatchObject({
    stdout: "",
    stderr: `  Error: ${text}\n\n`,
    status: 234,
  });
});

test("for people, sizes of regions have their alignment among them, and sectors stay numbers", () => {
  sh("ndctl inject-error namespace0.1 -B 8 -n 4");
  const shown = sh("ndctl list -RDMu").stdout;
  expect(shown).toContain('"align":"16.00 MiB (16.78 MB)"');
  expect(shown).toMatch(/"offset":\d+,\n *"length":4,\n *"dimms":\[\n *"nmem\d"/);
  expect(shown).toMatch(/"dimm":"nmem0",\n *"offset":"0",\n *"length":"0x/);
});

test("words that are no modules and versions that are none are told", () => {
  const none = sh("ndctl check-labels foo");
  expect(none.status).toBe(129);
  expect(none.stderr).toMatch(/^'foo' is not a valid dimm name\n\n usage: ndctl check-labels/);
  const some = sh("ndctl check-labels foo nmem0");
  expect(some).toMatchObject({
    status: 0,
    stderr: "'foo' is not a valid dimm name\nsuccessfully verified 1 nmem label\n",
  });
  const version = sh("ndctl init-labels -V 2.0 nmem0");
  expect(version).toMatchObject({
    status: 1,
    stderr: "'2.0' is not a valid label version\ninitialized 0 nmem\n",
  });
});

test("read-labels shows the flags of labels, ids and sizes for people with -u, and with -I the index blocks alone", () => {
  const shown = sh("ndctl read-labels -u nmem0").stdout;
  expect(shown).toMatch(/"nlabel":2,\n *"flags":"0",\n *"isetcookie":"0x/);
  expect(shown).toContain('"rawsize":"512.00 MiB (536.87 MB)"');
  expect(sh("ndctl read-labels -jI nmem0").stdout).not.toContain('"label"');
});

test("with -c what is disabled is listed, too", () => {
  sh("ndctl disable-region region0");
  expect(sh("ndctl list -R").stdout).toBe("");
  expect(namesOf("ndctl list -Rc")).toEqual(["region0"]);
});
