// What the rules about source code look at: the syntax tree of a file, node by node, and its comments by line.
import { basename } from "node:path";
import { type Comment, parseSync, visitorKeys } from "oxc-parser";

export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

export interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** All of them, outer ones first. */
  readonly nodes: readonly SyntaxNode[];
  readonly comments: readonly Comment[];
}

/** @param text TypeScript */
export function parseFile(path: string, text: string): SourceFile {
  const { program, comments, errors } = parseSync(basename(path), text, { preserveParens: false });
  const [error] = errors;
  if (error) throw new Error(`${path}: ${error.message}`);
  return { path, text, nodes: [...nodesIn(program as unknown as SyntaxNode)], comments };
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children = (visitorKeys[node.type] ?? []).flatMap((key) => node[key]);
  return children.filter((child): child is SyntaxNode => typeof child === "object" && child !== null);
}

/** The node and everything in it. */
export function* nodesIn(node: SyntaxNode): Generator<SyntaxNode, void> {
  yield node;
  for (const child of childrenOf(node)) yield* nodesIn(child);
}

/** Counted from 1. */
export function lineOf(file: SourceFile, offset: number): number {
  return file.text.slice(0, offset).split("\n").length;
}

/** `object.name`, also `object?.name`. */
export function isMember(node: SyntaxNode, names: RegExp): boolean {
  return (
    node.type === "MemberExpression" && node["computed"] !== true && names.test(nameOf(node["property"]))
  );
}

/** The name of an identifier, or "" for anything else. */
export function nameOf(node: unknown): string {
  const { name } = (node ?? {}) as { name?: unknown };
  return typeof name === "string" ? name : "";
}

/**
 * Whether a line comment that starts with `word` stands directly above the line where a node begins, in the comment that ends
 * there, or on the next line.
 */
export function isExplained(file: SourceFile, node: SyntaxNode, word: string): boolean {
  const own = file.comments.filter(({ type }) => type === "Line");
  const byLine = new Map(own.map((comment) => [lineOf(file, comment.start), comment.value.trim()]));
  const line = lineOf(file, node.start);
  if (byLine.get(line + 1)?.startsWith(word)) return true;
  // Ends: each turn is a line further up, and the text has a first one.
  for (let above = line - 1; byLine.has(above); above--) if (byLine.get(above)?.startsWith(word)) return true;
  return false;
}
