// A release, on a copy of the repository: versions and CHANGELOGs of the first one and of one after it, and what would be published.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pnpm, publishedPackages, ROOT } from "../src/tarballs.ts";

const COPY = mkdtempSync(join(tmpdir(), "hetmem-release-"));
const PACKAGES = publishedPackages();

function runIn(cwd: string, program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { cwd, encoding: "utf8", stdio: "pipe", maxBuffer: 2 ** 26 });
}

/** Makes every package one that was never released: what this repository has released is not the test's. */
function forgetReleases(): void {
  for (const { folder } of PACKAGES) {
    const path = join(COPY, folder, "package.json");
    writeFileSync(path, readFileSync(path, "utf8").replace(/"version": ".*"/, '"version": "0.0.0"'));
    rmSync(join(COPY, folder, "CHANGELOG.md"), { force: true });
  }
}

function changeset(name: string, ...lines: readonly string[]): void {
  writeFileSync(join(COPY, ".changeset", `${name}.md`), lines.join("\n"));
}

/** Versions by package, of those that aren't 0.1.0. */
function versions(): Record<string, string> {
  const all = PACKAGES.map(({ folder, manifest: { name } }) => {
    const { version } = JSON.parse(readFileSync(join(COPY, folder, "package.json"), "utf8")) as {
      readonly version: string;
    };
    return [name, version] as const;
  });
  return Object.fromEntries(all.filter(([, version]) => version !== "0.1.0"));
}

function changelog(folder: string): string {
  return readFileSync(join(COPY, folder, "CHANGELOG.md"), "utf8");
}

beforeAll(() => {
  const files = runIn(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(
    "\0",
  );
  for (const file of files.filter((name) => name !== "")) {
    mkdirSync(dirname(join(COPY, file)), { recursive: true });
    cpSync(join(ROOT, file), join(COPY, file), { force: true });
  }
  forgetReleases();
  runIn(COPY, "git", "init", "--quiet", "--initial-branch=main");
  runIn(COPY, "git", "add", "--all");
  runIn(COPY, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "a copy");
  pnpm(COPY, "install", "--offline", "--frozen-lockfile", "--silent");
});

afterAll(() => rmSync(COPY, { recursive: true }));

test("the first release of every package is 0.1.0, and its CHANGELOG says what it is", () => {
  changeset(
    "waiting",
    "---",
    '"@hetmem/page": patch',
    "---",
    "",
    "What was renamed before the first release.",
  );
  runIn(COPY, "npm", "run", "--silent", "release:version");
  expect(versions()).toEqual({});
  for (const { folder, manifest } of PACKAGES) {
    expect(changelog(folder)).toMatch(
      new RegExp(
        `^# ${manifest.name}\n\n## 0\\.1\\.0\n\n### Minor Changes\n\n- The first release\\. .+\\.\n$`,
      ),
    );
    expect(readFileSync(join(COPY, folder, "src/version.ts"), "utf8")).toContain(
      `onlyVersion("${manifest.name}", "0.1.0");`,
    );
  }
});

test("afterwards packages move apart: those that depend on a minor version get a patch, and nothing else moves", () => {
  changeset(
    "shell",
    "---",
    '"@hetmem/shell": minor',
    "---",
    "",
    "A word lists a directory.",
    "A second line.",
  );
  changeset("report", "---", '"@hetmem/report": patch', "---", "", "A table keeps to the width.");
  runIn(COPY, "npm", "run", "--silent", "release:version");
  expect(versions()).toEqual({
    "@hetmem/shell": "0.2.0",
    "@hetmem/ndctl": "0.1.1",
    "@hetmem/report": "0.1.1",
    "@hetmem/transcript": "0.1.1",
    hetmem: "0.1.1",
  });
  expect(changelog("packages/shell")).toMatch(
    /^# @hetmem\/shell\n\n## 0\.2\.0\n\n### Minor Changes\n\n- A word lists a directory\.\n {2}A second line\.\n\n## 0\.1\.0\n/,
  );
  expect(changelog("packages/ndctl")).toMatch(
    /## 0\.1\.1\n\n### Patch Changes\n\n- Asks for @hetmem\/shell 0\.2\.0\.\n/,
  );
});

test("what is built of it would be published, in these versions", () => {
  const moved = versions();
  const filters = Object.keys(moved).flatMap((name) => ["--filter", name]);
  const dryRun = ["--dry-run", "--no-git-checks", "--report-summary"];
  runIn(COPY, "npm", "run", "release:publish", "--", ...dryRun, ...filters);
  const { publishedPackages: published } = JSON.parse(
    readFileSync(join(COPY, "pnpm-publish-summary.json"), "utf8"),
  ) as { readonly publishedPackages: readonly { readonly name: string; readonly version: string }[] };
  expect(Object.fromEntries(published.map(({ name, version }) => [name, version]))).toEqual(moved);
});
