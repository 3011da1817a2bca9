// A YAML text as a document, at a bounded cost. The library takes its time for each word, compares the names of a group with one
// another, and composes by recursion, where V8 ends the process when a regular expression is compiled without stack left. So the
// text is cut into words and marks first, and one that has too many is refused.
import { KernelBug, KernelError } from "@hetmem/kernel";
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isSeq,
  Lexer,
  type LineCounter,
  type Node,
  Parser,
  visit,
} from "yaml";
import type { SpecPath } from "./problem.ts";

/** Groups that stand in one another. */
const DEPTH_MAX = 32;
/** Words, marks and spaces of a file: one with the distances of 128 nodes has 55,000, and 100,000 take the library a second. */
const LEXEMES_MAX = 100_000;
/** Names of one group: the library compares each with each. */
const NAMES_MAX = 1000;

/**
 * Parses a text.
 *
 * @param file its path, for the sentences
 * @param lines gets the offset of each line
 * @throws KernelError EINVAL for a text that is too much, and for a second document
 */
export function parseYaml(text: string, file: string, lines: LineCounter): Document.Parsed {
  const tokens: CST.Token[] = [];
  for (const token of tokensOf(text, file, lines)) {
    refuseShape(token, file);
    tokens.push(token);
  }
  const [document, second] = new Composer({ logLevel: "error" }).compose(tokens, true, text.length);
  if (document === undefined) throw new KernelBug(`${file} composes to nothing`);
  if (second)
    throw new KernelError(
      "EINVAL",
      `${file}:${lines.linePos(second.range[0]).line}: a second machine begins here: a file has one`,
    );
  return document;
}

/** Each piece of the text, while there are not too many words and marks. */
function* tokensOf(text: string, file: string, lines: LineCounter): Generator<CST.Token> {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++count > LEXEMES_MAX)
      throw new KernelError(
        "EINVAL",
        `${file}: more than ${LEXEMES_MAX} words and marks are too many for a machine: leave out what isn't needed`,
      );
    yield* parser.next(lexeme);
  }
  yield* parser.end();
}

/** @throws KernelError EINVAL for groups too deep in one another, or with too many names */
function refuseShape(document: CST.Token, file: string): void {
  const open = [{ token: document, depth: 0 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { token, depth } = next;
    if (depth > DEPTH_MAX)
      throw new KernelError(
        "EINVAL",
        `${file}: more than ${DEPTH_MAX} groups stand in one another: a machine has five levels`,
      );
    const names = isGroup(token) ? token.items.length : 0;
    if (names > NAMES_MAX)
      throw new KernelError(
        "EINVAL",
        `${file}: ${names} names in one group are too many: write at most ${NAMES_MAX}`,
      );
    const inside =
      "items" in token
        ? token.items.flatMap((item) => ("key" in item ? [item.key, item.value] : [item.value]))
        : "value" in token
          ? [token.value]
          : [];
    for (const each of inside) if (each) open.push({ token: each, depth: depth + 1 });
  }
}

function isGroup(token: CST.Token): token is CST.BlockMap | CST.FlowCollection {
  return token.type === "block-map" || (token.type === "flow-collection" && token.start.source === "{");
}

/**
 * The document as a plain value.
 *
 * @throws KernelError EINVAL for aliases of nothing, and for those that unfold to more than a machine holds
 */
export function valueOf(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    const absent = unmarkedAlias(document);
    const why =
      absent === undefined
        ? "they unfold to more than a machine holds"
        : `nothing before *${absent} is marked &${absent}`;
    throw new KernelError(
      "EINVAL",
      `${file}: its aliases (*NAME) can't be followed, as ${why}: write out what they stand for`,
    );
  }
}

/** The first alias that no value before it is marked for. */
function unmarkedAlias(document: Document.Parsed): string | undefined {
  const marked = new Set<string>();
  let absent: string | undefined;
  visit(document, {
    Node: (_key, node) => {
      if (isAlias(node)) {
        if (!marked.has(node.source)) absent = node.source;
        return absent === undefined ? undefined : visit.BREAK;
      }
      if (node.anchor !== undefined) marked.add(node.anchor);
      return undefined;
    },
  });
  return absent;
}

/** The offset of a value in the text. For a missing key, the offset of the group that lacks it. */
export function offsetOf(contents: Node | null, path: SpecPath): number | undefined {
  let at: unknown = contents;
  let offset = contents?.range?.[0];
  for (const key of path) {
    if (isMap(at)) {
      const pair = at.items.find((item) => String(item.key) === String(key));
      if (!pair) return offset;
      offset = (pair.key as Node | null)?.range?.[0] ?? offset;
      at = pair.value;
    } else if (isSeq(at)) {
      at = at.items[Number(key)];
      offset = (at as Node | undefined)?.range?.[0] ?? offset;
    }
  }
  return offset;
}
