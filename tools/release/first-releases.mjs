// A package that was never released has nothing that changed for its users: in place of the changesets that wait for it, it gets one that
// says what it is.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const NEVER_RELEASED = "0.0.0";

/**
 * Rewrites the folder of changesets.
 *
 * @param {string} root of the repository
 * @param {{ name: string, version: string, description: string }[]} packages
 */
export function tellFirstReleases(root, packages) {
  const folder = join(root, ".changeset");
  const firsts = packages.filter(({ version }) => version === NEVER_RELEASED);
  const names = new Set(firsts.map(({ name }) => name));
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".md") && name !== "README.md")) {
    const path = join(folder, file);
    const { bumps, summary } = changesetOf(readFileSync(path, "utf8"), file);
    const others = bumps.filter(({ name }) => !names.has(name));
    if (others.length === 0) rmSync(path);
    else writeFileSync(path, textOf(others, summary));
  }
  for (const { name, description } of firsts) {
    const file = `first-release-of-${name.replace("@", "").replace("/", "-")}.md`;
    writeFileSync(
      join(folder, file),
      textOf([{ name, bump: "minor" }], `The first release. ${description}.`),
    );
  }
}

/** @param {string} text @param {string} file for the error */
function changesetOf(text, file) {
  const [, head, summary] = /^---\n([\s\S]*?)---\n([\s\S]*)$/.exec(text) ?? [];
  if (head === undefined || summary === undefined) throw new Error(`.changeset/${file} is no changeset`);
  const bumps = [...head.matchAll(/^"(.+)": (major|minor|patch)$/gm)].map(([, name = "", bump = ""]) => ({
    name,
    bump,
  }));
  return { bumps, summary: summary.trim() };
}

/** @param {{ name: string, bump: string }[]} bumps @param {string} summary */
function textOf(bumps, summary) {
  return `---\n${bumps.map(({ name, bump }) => `"${name}": ${bump}`).join("\n")}\n---\n\n${summary}\n`;
}
