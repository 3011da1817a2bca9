// Links of READMEs. npm shows a package's README far from this repository, where a relative link leads nowhere, so READMEs of
// packages name files and folders by their addresses on GitHub: /blob/ for a file, /tree/ for a folder.
import { statSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./workspace.ts";

export const REPOSITORY = "https://github.com/hetmem/hetmem";

const OURS = new RegExp(`^${REPOSITORY}/(blob|tree)/main/([^#]+)`);

/** The path, from the root, that an address on GitHub stands for; undefined for other addresses. */
export function pathOfLink(address: string): string | undefined {
  return OURS.exec(address)?.[2];
}

/** The links of a Markdown text that lead nowhere once npm shows it, each with the reason. */
export function deadLinks(markdown: string): string[] {
  const text = markdown.replaceAll(/^```.*?^```$/gms, "").replaceAll(/`[^`\n]*`/g, "`");
  const inline = [...text.matchAll(/\]\(([^)\s]*)[^)]*\)/g)];
  const references = [...text.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)];
  const html = [...text.matchAll(/\b(?:href|src)="([^"]*)"/g)];
  const headings = new Set([...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading)));
  return [...inline, ...references, ...html].flatMap(([, address = ""]) => {
    const reason = whyDead(address, headings);
    return reason === undefined ? [] : [`${address}: ${reason}`];
  });
}

function whyDead(address: string, headings: ReadonlySet<string>): string | undefined {
  if (address.startsWith("#"))
    return headings.has(address.slice(1)) ? undefined : "no heading of this README has that name";
  if (!address.startsWith("https://")) return "relative links don't work on npm: write the address on GitHub";
  const [, form, path = ""] = OURS.exec(address) ?? [];
  if (form === undefined) return undefined;
  const found = statSync(join(ROOT, path), { throwIfNoEntry: false });
  if (!found) return "the repository has no such file";
  if (found.isDirectory() !== (form === "tree")) return "a file is /blob/main/, a folder /tree/main/";
  return undefined;
}

/** The anchor that GitHub and npm give a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
