// What an application gets with a package: what stands below it, and nothing of what stands beside it. The kernel keeps HMM
// behind Kconfig for the same reason.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { runInNewContext } from "node:vm";
import { build } from "vite";
import { expect, test } from "vitest";
import { ROOT } from "../src/workspace.ts";

interface Bundle {
  /** Folders under packages/ that something is in the bundle of. */
  readonly packages: readonly string[];
  /** Modules of Node that are left for whoever runs it. */
  readonly modulesOfNode: readonly string[];
  readonly code: string;
}

/** @param use what the application does with all that the package exports */
async function bundleOf(name: string, use = "console.log(all);"): Promise<Bundle> {
  const folder = mkdtempSync(join(ROOT, "tools/house/bundle-"));
  try {
    const entry = join(folder, "app.ts");
    writeFileSync(entry, `import * as all from "${name}";\n${use}\n`);
    const built = await build({
      configFile: false,
      logLevel: "silent",
      root: folder,
      resolve: { conditions: ["@hetmem/source"] },
      build: { write: false, minify: false, lib: { entry, formats: ["es"], fileName: "app" } },
    });
    const [result] = Array.isArray(built) ? built : [built];
    if (result === undefined || !("output" in result)) throw new Error("nothing was built");
    const chunks = result.output.filter((output) => output.type === "chunk");
    const ids = chunks.flatMap(({ moduleIds }) => moduleIds);
    const paths = ids.map((id) => relative(ROOT, id).split("/"));
    return {
      packages: [...new Set(paths.flatMap(([group, at]) => (group === "packages" && at ? [at] : [])))].sort(),
      modulesOfNode: [
        ...ids.filter((id) => id.includes("browser-external")),
        ...chunks.flatMap(({ imports }) => imports).filter((request) => request.startsWith("node:")),
      ],
      code: chunks.map(({ code }) => code).join("\n"),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("who mirrors address spaces gets nothing that migrates them, and no memory of devices", async () => {
  const { packages, code } = await bundleOf("@hetmem/hmm-mirror");
  expect(packages).toEqual(expect.arrayContaining(["hmm-mirror", "mm"]));
  for (const name of ["hmm-migrate", "memremap"]) expect(packages).not.toContain(name);
  expect(code).toContain("hmmRangeFault");
  expect(code).not.toMatch(/migrateVma/);
});

test("who maps memory of devices gets no HMM", async () => {
  const { packages, code } = await bundleOf("@hetmem/memremap");
  expect(packages).not.toContain("mm");
  expect(packages.filter((name) => name.startsWith("hmm"))).toEqual([]);
  expect(code).not.toMatch(/hmmRangeFault|migrateVma/);
});

test("a shell comes with a file tree, and answers where there is nothing of Node", async () => {
  const use = `
    import { createKernel, run } from "@hetmem/kernel";
    import { Vfs } from "@hetmem/vfs";
    const vfs = new Vfs();
    vfs.mkdir("/tmp");
    const shell = new all.Shell({ vfs, kernel: createKernel(), spec: { release: "6.1.0" } }, all.PROGRAMS);
    print(run(shell.execute("printf 'caf\\u00e9' > /tmp/f; cat /tmp/f; wc -c < /tmp/f; md5sum /tmp/f; dd if=/tmp/f | od -tc")).output);
  `;
  const { packages, code } = await bundleOf("@hetmem/shell", use);
  expect(packages).toEqual(["kernel", "shell", "vfs"]);
  let printed = "";
  runInNewContext(code, { TextDecoder, TextEncoder, print: (text: string) => void (printed += text) });
  expect(printed).toBe(
    "caf\u00e95\n07117fe4a1ebd544965dc19573183da2  /tmp/f\n0+1 records in\n0+1 records out\n0000000   c   a   f 303 251\n0000005\n",
  );
});

test("a machine boots, and its shell answers, where there is nothing of Node", async () => {
  const use = `
    import { run } from "@hetmem/kernel";
    const spec = all.machineOfYaml("nodes: [{ memory: 1G, cpus: 0-1 }]", "page.yaml");
    const shell = new all.Shell(all.createMachine(spec), all.PROGRAMS);
    print(run(shell.execute("grep MemTotal /proc/meminfo; cat /sys/devices/system/memory/memory0/state")).output);
  `;
  const { code, modulesOfNode } = await bundleOf("hetmem", use);
  expect(modulesOfNode).toEqual([]);
  let printed = "";
  runInNewContext(code, { TextDecoder, TextEncoder, print: (text: string) => void (printed += text) });
  expect(printed).toMatch(/^MemTotal: +\d+ kB\nonline\n$/);
});

test.each(["machine-spec", "host-capture", "report"])(
  "the main entry of %s loads no module of Node: a browser can run it",
  async (name) => {
    const { packages, modulesOfNode } = await bundleOf(`@hetmem/${name}`);
    expect(packages).toContain(name);
    expect(modulesOfNode).toEqual([]);
  },
);

test("a bundle that needs Node would be found", async () => {
  const { modulesOfNode } = await bundleOf("@hetmem/host-capture/node");
  expect(modulesOfNode).not.toEqual([]);
});
