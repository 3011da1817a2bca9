// Circles of imports. Two files that import each other's values load in an order that nobody chose, and can't be read, moved
// or tested apart; types are erased, and may refer to one another. Packages must not import each other in a circle at all.
import { dirname, join } from "node:path";
import type { SourceFile, SyntaxNode } from "./syntax.ts";

/** The nodes that a node points to. */
export type Graph = ReadonlyMap<string, readonly string[]>;

/** Paths of the files whose values a file imports or re-exports, by the paths of the importing files. */
export function valueImports(files: readonly SourceFile[]): Graph {
  return new Map(files.map((file) => [file.path, requestsOf(file)]));
}

/**
 * The circles of a graph: each is a set of nodes that all reach one another.
 *
 * @see Tarjan, Depth-first search and linear graph algorithms (1972)
 */
export function circlesIn(graph: Graph): string[][] {
  const circles: string[][] = [];
  const numbers = new Map<string, number>();
  /** Nodes that are numbered and in no circle so far, in the order of their numbers. */
  const open: string[] = [];
  /** @returns the lowest number of an open node that the node reaches */
  const visit = (node: string): number => {
    const number = numbers.size;
    numbers.set(node, number);
    open.push(node);
    let lowest = number;
    for (const next of graph.get(node) ?? []) {
      const known = numbers.get(next);
      if (known === undefined) lowest = Math.min(lowest, visit(next));
      else if (open.includes(next)) lowest = Math.min(lowest, known);
    }
    if (lowest === number) {
      const circle = open.splice(open.indexOf(node));
      if (circle.length > 1 || graph.get(node)?.includes(node)) circles.push(circle.sort());
    }
    return lowest;
  };
  for (const node of graph.keys()) if (!numbers.has(node)) visit(node);
  return circles;
}

/** `import { type A }` without the type before the braces still loads the file: it counts. */
function requestsOf({ path, nodes }: SourceFile): string[] {
  return nodes
    .filter(({ type }) => type === "ImportDeclaration" || type === "ExportNamedDeclaration")
    .filter((node) => node["importKind"] !== "type" && node["exportKind"] !== "type")
    .map((node) => (node["source"] as (SyntaxNode & { value: string }) | null)?.value ?? "")
    .filter((request) => request.startsWith("."))
    .map((request) => join(dirname(path), request));
}
