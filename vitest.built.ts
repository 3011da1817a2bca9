// What `npm test` runs on: packages as they are built and published. Node loads them itself, which makes long runs twice
// as fast as on the sources, where each use of an import is a call. `vitest` alone runs on the sources: see vitest.shared.ts.
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { testOptions } from "./vitest.shared.ts";

/** Where tests import a source of a package, they get what was built of it. */
const builtForSource: Plugin = {
  name: "built-for-source",
  enforce: "pre",
  resolveId(source, importer) {
    if (!importer || !source.startsWith(".")) return null;
    const [, root, name] = /^(.*)\/src\/(.*)\.ts$/.exec(resolve(dirname(importer), source)) ?? [];
    const built = `${root}/dist/${name}.js`;
    return name !== undefined && existsSync(built) ? built : null;
  },
};

export default defineConfig({
  plugins: [builtForSource],
  test: { ...testOptions, server: { deps: { external: [/\/(packages|apps)\/[^/]+\/dist\//] } } },
});
