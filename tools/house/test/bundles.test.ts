// What an application gets with a package: what stands below it, and nothing of what stands beside it. The kernel keeps HMM
// behind Kconfig for the same reason. And that bundles of a machine run: in a browser, and in Node.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { bundleOf, esbuildOf, type Platform } from "../src/bundle.ts";
import { readText, ROOT } from "../src/workspace.ts";

interface Contents {
  /** Folders under packages/ that something is in the bundle of. */
  readonly packages: readonly string[];
  /** Modules of Node that are left for whoever runs it. */
  readonly modulesOfNode: readonly string[];
  readonly code: string;
}

/** The contents of an application that uses all that an entry exports. */
async function contentsOf(entry: string): Promise<Contents> {
  const chunks = await bundleOf(`import * as all from "${entry}";\nconsole.log(all);\n`, {
    external: (request) => request.startsWith("node:"),
  });
  const paths = chunks.flatMap(({ files }) => files).map((file) => relative(ROOT, file).split("/"));
  const packages = paths.flatMap(([group, at]) => (group === "packages" && at !== undefined ? [at] : []));
  return {
    packages: [...new Set(packages)].sort(),
    modulesOfNode: chunks.flatMap(({ imports }) => imports),
    code: chunks.map(({ code }) => code).join("\n"),
  };
}

test("who mirrors address spaces gets nothing that migrates them, and no memory of devices", async () => {
  const { packages, code } = await contentsOf("@hetmem/hmm-mirror");
  expect(packages).toEqual(expect.arrayContaining(["hmm-mirror", "mm"]));
  for (const name of ["hmm-migrate", "memremap"]) expect(packages).not.toContain(name);
  expect(code).toContain("hmmRangeFault");
  expect(code).not.toMatch(/migrateVma/);
});

test("who maps memory of devices gets no HMM", async () => {
  const { packages, code } = await contentsOf("@hetmem/memremap");
  expect(packages).not.toContain("mm");
  expect(packages.filter((name) => name.startsWith("hmm"))).toEqual([]);
  expect(code).not.toMatch(/hmmRangeFault|migrateVma/);
});

test("a shell comes with a file tree, and nothing else", async () => {
  const { packages, modulesOfNode } = await contentsOf("@hetmem/shell");
  expect(packages).toEqual(["kernel", "shell", "vfs"]);
  expect(modulesOfNode).toEqual([]);
});

test.each(["machine-spec", "host-capture", "report", "shell/on-demand"])(
  "the entry %s loads no module of Node: a browser can run it",
  async (entry) => {
    const { packages, modulesOfNode } = await contentsOf(`@hetmem/${entry}`);
    expect(packages).toContain(entry.split("/")[0]);
    expect(modulesOfNode).toEqual([]);
  },
);

test("a bundle that needs Node would be found", async () => {
  const { modulesOfNode } = await contentsOf("@hetmem/host-capture/node");
  expect(modulesOfNode).toContain("node:fs");
});

const BUNDLERS: readonly [string, (application: string, platform: Platform) => Promise<string>][] = [
  ["esbuild", esbuildOf],
  [
    "rolldown",
    async (application, platform) =>
      (await bundleOf(application, { platform })).map(({ code }) => code).join("\n"),
  ],
];

describe.each(BUNDLERS)("with %s", (_bundler, bundled) => {
  /** What an application prints where there is nothing of Node. */
  async function printedInBrowser(application: string): Promise<string> {
    let printed = "";
    const print = (text: string): void => void (printed += text);
    runInNewContext(await bundled(application, "browser"), { TextDecoder, TextEncoder, print });
    return printed;
  }

  test("a shell answers where there is nothing of Node", async () => {
    const printed = await printedInBrowser(`
      import { createKernel, run } from "@hetmem/kernel";
      import { PROGRAMS, Shell } from "@hetmem/shell";
      import { Vfs } from "@hetmem/vfs";
      const vfs = new Vfs();
      vfs.mkdir("/tmp");
      const shell = new Shell({ vfs, kernel: createKernel(), spec: { release: "6.1.0" } }, PROGRAMS);
      print(run(shell.execute("printf 'caf\\u00e9' > /tmp/f; cat /tmp/f; wc -c < /tmp/f; md5sum /tmp/f; dd if=/tmp/f | od -tc")).output);
    `);
    expect(printed).toBe(
      "caf\u00e95\n07117fe4a1ebd544965dc19573183da2  /tmp/f\n0+1 records in\n0+1 records out\n0000000   c   a   f 303 251\n0000005\n",
    );
  });

  test("a machine boots, and its shell answers, where there is nothing of Node", async () => {
    const printed = await printedInBrowser(`
      import { run } from "@hetmem/kernel";
      import { createMachine, machineOfYaml, PROGRAMS, Shell } from "hetmem";
      const spec = machineOfYaml("nodes: [{ memory: 1G, cpus: 0-1 }]", "page.yaml");
      const shell = new Shell(createMachine(spec), PROGRAMS);
      print(run(shell.execute("grep MemTotal /proc/meminfo; cat /sys/devices/system/memory/memory0/state")).output);
    `);
    expect(printed).toMatch(/^MemTotal: +\d+ kB\nonline\n$/);
  });

  test("hetmem/node reads a captured host from one file", async () => {
    const tree = join(ROOT, "packages/host-capture/fixtures/captures/tree-hidden-ram.tar.gz");
    const code = await bundled(
      `import { captureHost, createMachine, PROGRAMS, Shell } from "hetmem";
      import { openTree, runScript } from "hetmem/node";
      const { spec } = captureHost(openTree(${JSON.stringify(tree)}), "v6.1");
      const print = (text) => void process.stdout.write(text);
      await runScript(new Shell(createMachine(spec), PROGRAMS), "uname -r; cat $1", { out: print, err: print }, ["/proc/version"]);`,
      "node",
    );
    const [, release = ""] =
      /^(6\.1\S*)\nLinux version (6\.1\S*) /.exec(runInNode({ "app.mjs": code })) ?? [];
    expect(release).not.toBe("");
  });
});

test("programs on demand are chunks of their own, which come when somebody types their names", async () => {
  // The page of the README, which types one of them, and another.
  const page = /^```js\n(.*?)^```$/ms.exec(readText("apps/machine/README.md"))?.[1] ?? "";
  const chunks = await bundleOf(
    `${page}\nconsole.log((await drive(shell.execute("ndctl --version"))).output);`,
  );
  const filesOf = (first: boolean): string =>
    chunks.flatMap((chunk) => (chunk.first === first ? chunk.files : [])).join("\n");
  for (const program of ["packages/ndctl/", "programs/proc/", "programs/gpu/"]) {
    expect(filesOf(true)).not.toContain(program);
    expect(filesOf(false)).toContain(program);
  }
  const printed = runInNode(
    Object.fromEntries(chunks.map(({ name, code }) => [name, code])),
    chunks.find(({ first }) => first)?.name,
  );
  expect(printed).toMatch(/^\d+\n\n76\.1\n/);
});

/** What the files of a bundle print in a Node that finds no package. */
function runInNode(files: Readonly<Record<string, string>>, entry = Object.keys(files)[0] ?? ""): string {
  const folder = mkdtempSync(join(tmpdir(), "hetmem-bundle-"));
  try {
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    for (const [name, code] of Object.entries(files)) writeFileSync(join(folder, name), code);
    return execFileSync(process.execPath, [join(folder, entry)], { encoding: "utf8" });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
