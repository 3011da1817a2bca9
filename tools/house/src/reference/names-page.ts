// docs/names.md: from a name of the kernel to ours, by the kernel's source file. The names are those of `@see` tags. A tag that
// says no file is looked up in kernel-files.json, which has the files of Linux 6.1 and of ndctl 76, as ctags finds them, and those
// of older kernels for what 6.1 has no more.
import { type Counterpart, counterparts, sourcesByKernelFile } from "./counterparts.ts";
import kernelFiles from "./kernel-files.json" with { type: "json" };

const FILE_OF: ReadonlyMap<string, string> = new Map(
  Object.entries(kernelFiles).flatMap(([file, names]) => names.map((name) => [name, file] as const)),
);

function fileOf({ kernel, file }: Counterpart): string {
  return file ?? FILE_OF.get(kernel) ?? ELSEWHERE;
}

/** The section of names whose file neither their tag nor the list says. */
const ELSEWHERE = "Elsewhere";

export function namesPage(): string {
  const byFile = grouped(counterparts(), fileOf);
  const sources = sourcesByKernelFile();
  const files = [...new Set([...byFile.keys(), ...sources.keys()])].sort(order);
  const folders = [...grouped(files, folderOf)].map(
    ([folder, [first = ""]]) => `[${folder}](#${anchorOf(first)})`,
  );
  const sections = files.map((file) => sectionOf(file, sources.get(file) ?? [], byFile.get(file) ?? []));
  return `# From the kernel to hetmem: names\n\n${INTRODUCTION}\n\n${folders.join(" · ")}\n\n${sections.join("\n")}`;
}

function grouped<T>(all: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}

/** By path, with what has none at the end. */
function order(a: string, b: string): number {
  return Number(a === ELSEWHERE) - Number(b === ELSEWHERE) || (a < b ? -1 : Number(a > b));
}

function folderOf(file: string): string {
  return file.includes("/") ? file.slice(0, file.lastIndexOf("/")) : file;
}

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\w-]/g, "");
}

/** Our files, and a row for each name and each package that has a counterpart of it. */
function sectionOf(file: string, sources: readonly string[], found: readonly Counterpart[]): string {
  const links = sources.map(
    (path) => `[${path.replace("/src/", " · ").replace(/^packages\//, "")}](../${path})`,
  );
  const rows = [
    ...grouped(found, ({ kernel, specifier }) => `${bare(kernel)} ${kernel} ${specifier}`),
  ].sort();
  const lines = rows.map(([, ones]) => {
    const ours = [...new Set(ones.map((one) => `\`${one.ours}\``))].join(", ");
    return `| \`${ones[0]?.kernel}\` | ${ours} | \`${ones[0]?.specifier}\` |\n`;
  });
  const parts = [
    `## ${file}\n`,
    ...(links.length > 0 ? [`Modelled in ${links.join(", ")}.\n`] : []),
    ...(lines.length > 0 ? [`| kernel | hetmem | package |\n| --- | --- | --- |\n${lines.join("")}`] : []),
  ];
  return parts.join("\n");
}

/** The name that a reader looks for. */
function bare(kernel: string): string {
  return kernel
    .replace(/^(struct|enum|union) /, "")
    .replace(/^_+/, "")
    .toLowerCase();
}

const INTRODUCTION =
  "Each name of the kernel that an exported name is the counterpart of, by the source file of Linux 6.1, or of the older kernel that had it. `A.b` is the\n" +
  "member `b` of `A`. `ndctl`, `daxctl` and `util` are folders of ndctl 76, `shell` and `libbb` of busybox,\n" +
  "`sys-utils` of util-linux. The page is drawn from the `@see` tags of doc comments:\n" +
  "`npm run reference` writes it anew.";
