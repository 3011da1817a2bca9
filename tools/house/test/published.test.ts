// npm's page of each package: where the package comes from, where faults are told, how it is installed, and links that work there.
import { join } from "node:path";
import { expect, test } from "vitest";
import { deadLinks, pathOfLink, REPOSITORY } from "../src/links.ts";
import { packageOf, packages, readText } from "../src/workspace.ts";

const PUBLISHED = packages().filter(({ manifest }) => !manifest.private);

test("every package under packages/ and apps/ is published", () => {
  expect(PUBLISHED.length).toBe(packages().length);
});

test.each(PUBLISHED)("package.json of $name says where it comes from", ({ folder, manifest }) => {
  expect(manifest).toMatchObject({
    license: "MIT",
    author: "The hetmem authors",
    homepage: `${REPOSITORY}/tree/main/${folder}#readme`,
    bugs: { url: `${REPOSITORY}/issues` },
    repository: { type: "git", url: `git+${REPOSITORY}.git`, directory: folder },
    publishConfig: { access: "public" },
    engines: { node: ">=20.19" },
  });
  expect(manifest.description).toMatch(/^\S.{20,}[^.]$/);
  expect(manifest.keywords).toEqual(expect.arrayContaining(["hetmem", "linux", "memory"]));
  // Its own subject, beyond what all share.
  expect(manifest.keywords?.length).toBeGreaterThanOrEqual(6);
});

test.each(PUBLISHED)("the README of $name says how to install all that its example imports", (pkg) => {
  const readme = readText(join(pkg.folder, "README.md"));
  const [, line = ""] = /^## Install\n\n```\nnpm install ([^\n]+)\n```$/m.exec(readme) ?? [];
  const [, example = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const imported = [...example.matchAll(/ from "([^"]+)"/g)].flatMap(
    ([, request = ""]) => packageOf(request) ?? [],
  );
  const others = [...new Set(imported)].filter((name) => name !== pkg.name);
  expect(line.split(" ")).toEqual([pkg.name, ...others.sort()]);
});

test.each(PUBLISHED)("links in the README of $name work on npm", ({ folder }) => {
  expect(deadLinks(readText(join(folder, "README.md")))).toEqual([]);
});

test.each([
  ["[a](../gpu)", "relative"],
  ["[a](examples/tiny-gpu.ts)", "relative"],
  ["[a]: ../gpu", "relative"],
  ['<img src="docs/house.svg">', "relative"],
  ["[a](#nowhere)", "heading"],
  [`[a](${REPOSITORY}/blob/main/docs/never-written.md)`, "no such file"],
  [`[a](${REPOSITORY}/blob/main/docs)`, "/tree/"],
  [`[a](${REPOSITORY}/tree/main/README.md)`, "/blob/"],
])("%s is a dead link", (markdown, reason) => {
  expect(deadLinks(markdown)).toEqual([expect.stringContaining(reason)]);
});

test("headings, other sites, files and folders of the repository are links that work", () => {
  const links = ["#not-modelled", "https://lwn.net", `${REPOSITORY}/tree/main/docs`];
  links.push(`${REPOSITORY}/blob/main/docs/architecture.md#the-floors`);
  expect(deadLinks(`## Not modelled\n${links.map((link) => `[a](${link})`).join("\n")}`)).toEqual([]);
  expect(deadLinks("A call `a[0](../x)` is code.\n```\n[a](b)\n```")).toEqual([]);
  expect(pathOfLink(`${REPOSITORY}/blob/main/docs/a.md#b`)).toBe("docs/a.md");
});
