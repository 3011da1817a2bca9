// The pages are built from the doc comments as they are: each entry of each package has one, and no link leads nowhere.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const HERE = join(import.meta.dirname, "..");
const ROOT = join(HERE, "../..");
const PAGES = mkdtempSync(join(tmpdir(), "api-pages-"));
let said = "";

beforeAll(() => {
  const typedoc = join(
    dirname(createRequire(import.meta.url).resolve("typedoc/package.json")),
    "bin/typedoc",
  );
  const built = spawnSync(process.execPath, [typedoc, "--out", PAGES], { cwd: HERE, encoding: "utf8" });
  said = built.stdout + built.stderr;
  expect(built.status, said).toBe(0);
}, 300_000);

afterAll(() => rmSync(PAGES, { recursive: true }));

function page(path: string): string {
  return readFileSync(join(PAGES, path), "utf8");
}

test("TypeDoc warns of nothing: comments link to what exists", () => {
  expect(said.split("\n").filter((line) => /warning|error/i.test(line))).toEqual([]);
});

const ENTRIES = ["packages", "apps"].flatMap((group) =>
  readdirSync(join(ROOT, group)).flatMap((folder) => {
    const manifest = JSON.parse(readFileSync(join(ROOT, group, folder, "package.json"), "utf8")) as {
      readonly name: string;
      readonly exports: Readonly<Record<string, unknown>>;
    };
    const entries = Object.entries(manifest.exports).filter(([, target]) => typeof target !== "string");
    return entries.map(([subpath]) => `${manifest.name}${subpath.slice(1)}`);
  }),
);

test.each(ENTRIES)("%s has a page", (entry) => {
  expect(page(`modules/${entry.replace(/[@/]/g, "_")}.html`)).toContain(`<h1>Module ${entry}</h1>`);
});

test("the page of a function says its counterpart in the kernel", () => {
  expect(page("functions/_hetmem_hmm-mirror.hmmRangeFault.html")).toContain("hmm_range_fault() in mm/hmm.c");
});

test("the page of a package begins with its README", () => {
  expect(page("modules/_hetmem_memremap.html")).toContain("Not modelled");
});

test("the page of a class without a comment of its own says what its file models", () => {
  const [head = ""] =
    /(?<=^\/\/ ).*/.exec(readFileSync(join(ROOT, "packages/cgroup/src/cgroup.ts"), "utf8")) ?? [];
  expect(page("classes/_hetmem_cgroup.Cgroup.html")).toContain(head);
});

test("every link to a page leads to one", () => {
  const paths = readdirSync(PAGES, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".html"),
  );
  const links = paths.flatMap((path) =>
    [...page(path).matchAll(/href="(?!https?:|#|mailto:)([^"#]+)/g)].map(([, to = ""]) =>
      join(path, "..", to),
    ),
  );
  expect(links.length).toBeGreaterThan(5000);
  expect([...new Set(links)].filter((to) => !existsSync(join(PAGES, decodeURI(to))))).toEqual([]);
});
