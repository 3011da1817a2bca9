// Functions that are longer than a screen: a reader has to see the whole of one at a time.
import { lineOf, nameOf, type SourceFile } from "./syntax.ts";

const FUNCTION = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/;

/** Functions with more lines than `most`, each with its first line. */
export function longFunctions(file: SourceFile, most: number): string[] {
  return file.nodes.flatMap((node) => {
    if (!FUNCTION.test(node.type)) return [];
    const first = lineOf(file, node.start);
    const lines = lineOf(file, node.end) - first + 1;
    return lines > most ? [`${file.path}:${first}: ${nameOf(node["id"])} has ${lines} lines`] : [];
  });
}
