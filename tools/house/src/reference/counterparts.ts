// Names of the kernel that exported things are counterparts of, from the `@see` tags of their doc comments and of the members of
// exported classes, interfaces and constants; and files of the kernel, from the comments that source files begin with.
import { dirname, join } from "node:path";
import type { Comment } from "oxc-parser";
import { nameOf, parseFile, type SourceFile, type SyntaxNode } from "../syntax.ts";
import { packages, readText, sources } from "../workspace.ts";

/** A name of the kernel, and ours. */
export interface Counterpart {
  /** As a comment has it: "do_wp_page()", "struct dev_pagemap", "MADV_FREE". */
  readonly kernel: string;
  /** "mm/memory.c", or undefined where the comment names no file. */
  readonly file: string | undefined;
  /** "getUserPages", or "MemMap.getPage" for a member. */
  readonly ours: string;
  /** What it is imported from. */
  readonly specifier: string;
}

/** Of all entries of all packages, in the order of the sources. */
export function counterparts(): Counterpart[] {
  return packages().flatMap(({ name, folder, manifest }) =>
    Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) =>
      typeof target === "string"
        ? []
        : counterpartsOf(`${name}${subpath.slice(1)}`, join(folder, target["@hetmem/source"])),
    ),
  );
}

function counterpartsOf(specifier: string, index: string): Counterpart[] {
  return exportsOf(index).flatMap(({ path, local, exported }) => {
    const file = parsed(path);
    return [...documented(file, local, exported)].flatMap(([ours, comment]) =>
      kernelNamesOf(comment.value).map((found) => ({ ...found, ours, specifier })),
    );
  });
}

interface Export {
  /** The file that declares it. */
  readonly path: string;
  readonly local: string;
  readonly exported: string;
}

/** Files of the kernel that the comment at the beginning of a source file names, each with the source files that do. */
export function sourcesByKernelFile(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { folder } of packages())
    for (const path of sources(join(folder, "src"))) {
      const [head = ""] = /^(\/\/.*\n)+/.exec(readText(path)) ?? [];
      const words = head.replace(/\n\/\/ /g, " ").match(/[\w.-]+(\/[\w.-]+)+\.[chS]\b/g) ?? [];
      for (const file of new Set(words)) found.set(file, [...(found.get(file) ?? []), path]);
    }
  return found;
}

/** Indexes only list exports, each from the file that has it. */
function exportsOf(index: string): Export[] {
  return parsed(index)
    .nodes.filter(({ type }) => type === "ExportNamedDeclaration")
    .flatMap((node) => {
      const source = (node["source"] as SyntaxNode | null)?.["value"];
      if (typeof source !== "string" || !source.startsWith(".")) return [];
      const path = join(dirname(index), source);
      return (node["specifiers"] as readonly SyntaxNode[]).map((specifier) => ({
        path,
        local: nameOf(specifier["local"]),
        exported: nameOf(specifier["exported"]),
      }));
    });
}

const files = new Map<string, SourceFile>();

function parsed(path: string): SourceFile {
  const file = files.get(path) ?? parseFile(path, readText(path));
  files.set(path, file);
  return file;
}

/** What is exported by a name, and its members, each with its doc comment. */
function* documented(file: SourceFile, local: string, exported: string): Generator<[string, Comment]> {
  for (const node of file.nodes) {
    if (node.type !== "ExportNamedDeclaration") continue;
    const declaration = node["declaration"] as SyntaxNode | null;
    if (!declaration || !declares(declaration, local)) continue;
    const comment = docOf(file, node);
    if (comment) yield [exported, comment];
    for (const member of membersOf(declaration)) {
      const own = member["accessibility"] === "private" ? undefined : docOf(file, member);
      if (own) yield [`${exported}.${nameOf(member["key"])}`, own];
    }
  }
}

function declares(declaration: SyntaxNode, name: string): boolean {
  const declarators = declaration["declarations"] as readonly SyntaxNode[] | undefined;
  return [declaration, ...(declarators ?? [])].some(({ id }) => nameOf(id) === name);
}

/** Members of a class or an interface, and properties of an object. */
function membersOf(declaration: SyntaxNode): SyntaxNode[] {
  const [declarator] = (declaration["declarations"] as readonly SyntaxNode[] | undefined) ?? [];
  const value = (declarator?.["init"] ?? undefined) as SyntaxNode | undefined;
  const inner = value?.type === "TSAsExpression" ? (value["expression"] as SyntaxNode) : value;
  if (inner?.type === "ObjectExpression") return inner["properties"] as SyntaxNode[];
  const body = declaration["body"] as SyntaxNode | null | undefined;
  return body?.type === "ClassBody" || body?.type === "TSInterfaceBody" ? (body["body"] as SyntaxNode[]) : [];
}

/** The doc comment that ends directly before a node. */
function docOf(file: SourceFile, node: SyntaxNode): Comment | undefined {
  return file.comments.find(
    ({ type, value, end }) =>
      type === "Block" &&
      value.startsWith("*") &&
      end < node.start &&
      file.text.slice(end, node.start).trim() === "",
  );
}

/** `struct page`, `do_wp_page()`, `memory_files[]`, `MADV_FREE`. */
const NAME = /^(?:(?:struct|enum|union) )?[A-Za-z_]\w+(?:\(\)|\[\])?$/;
const FILE = /^(.*?) in ([\w.-]+(?:\/[\w.-]+)+\.\w+|[\w/-]*\bKconfig)\b/;
/** A commit, or the title of one. */
const COMMIT = /^([0-9a-f]{12}\b|")/;

/** The kernel's names in the `@see` tags of a comment; commits, their titles and manual pages aren't names. */
export function kernelNamesOf(comment: string): { kernel: string; file: string | undefined }[] {
  const text = comment.replace(/^\s*\* ?/gm, "");
  const tags = [...text.matchAll(/@see ([^]*?)(?=@\w|$)/g)].map(([, tag = ""]) =>
    tag.replace(/\s+/g, " ").trim(),
  );
  const parts = tags.flatMap((tag) => tag.split("; ")).filter((part) => !COMMIT.test(part));
  return parts.flatMap((part) => {
    const [, before = part.replace(/: .*$/, ""), file] = FILE.exec(part) ?? [];
    const words = before.split(/, and |, | and /).map((word) => word.trim().replace(/[.,]$/, ""));
    return words.filter((word) => NAME.test(word) && !COMMIT.test(word)).map((kernel) => ({ kernel, file }));
  });
}
