// Kinds of faults that were found here once, mended everywhere, and are refused since. A rule looks at the syntax of one file:
// it knows names and shapes, and neither types nor values. What a rule can't see for that is said where it stands.
import {
  isExplained,
  isMember,
  lineOf,
  nameOf,
  nodesIn,
  type SourceFile,
  type SyntaxNode,
} from "./syntax.ts";

export type Rule = (file: SourceFile) => readonly string[];

const CUTS = /^(slice|substring|substr|replace|replaceAll|split|match|matchAll|indexOf|at|charAt|trim)$/;

/**
 * A message that is cut: a KernelError says its sentence in `reason`, apart from its errno. Not seen: a message that was put
 * into a variable first.
 */
export const cutMessages: Rule = (file) =>
  find(file, (node) => {
    const callee = node["callee"] as SyntaxNode;
    return node.type === "CallExpression" && isMember(callee, CUTS) && isMessage(callee["object"]);
  }).map((line) => `${line}: cuts a message: a KernelError has a reason`);

/**
 * A KernelError made of the message of another error, which starts with an errno of its own; or a text that says the errno and
 * the message, which says it again.
 */
export const nestedMessages: Rule = (file) =>
  find(file, (node) => {
    if (node.type === "NewExpression" && nameOf(node["callee"]) === "KernelError")
      return [...nodesIn(node)].some(isMessage);
    if (node.type !== "TemplateLiteral") return false;
    const parts = node["expressions"] as readonly SyntaxNode[];
    return parts.some(isMessage) && parts.some((part) => isMember(part, /^errno$/));
  }).map((line) => `${line}: nests a message in another: use the reason`);

/** A catch that doesn't look at what it caught: a fault of the program ends as an errno. */
export const bareCatches: Rule = (file) =>
  find(file, (node) => node.type === "CatchClause" && node["param"] === null).map(
    (line) => `${line}: catches without a look at the error`,
  );

/**
 * A catch that lets nothing through: the error must be thrown on, and where that depends, its class must be asked for. Not
 * seen: a condition that is wrong.
 */
export const swallowedErrors: Rule = (file) =>
  find(file, (node) => node.type === "CatchClause" && node["param"] !== null && swallows(node)).map(
    (line) => `${line}: swallows every error: test its class, and throw on what isn't expected`,
  );

function swallows(clause: SyntaxNode): boolean {
  const caught = nameOf(clause["param"]);
  const mentions = (node: SyntaxNode): boolean => [...nodesIn(node)].some((part) => nameOf(part) === caught);
  const body = clause["body"] as SyntaxNode;
  const throwsOn = (node: SyntaxNode): boolean => node.type === "ThrowStatement" && mentions(node);
  const asksForClass = [...nodesIn(body)].some(
    (node) =>
      node.type === "BinaryExpression" &&
      node["operator"] === "instanceof" &&
      mentions(node["left"] as SyntaxNode),
  );
  const atTheEnd = (body["body"] as readonly SyntaxNode[]).at(-1);
  if (atTheEnd && throwsOn(atTheEnd)) {
    const returns = [...nodesIn(body)].some(({ type }) => type === "ReturnStatement");
    return returns && !asksForClass;
  }
  return !(asksForClass && [...nodesIn(body)].some(throwsOn));
}

/**
 * A loop that has no condition, or asks for it after the first turn, must say why it ends, in a comment that starts with
 * `Ends:`. Not seen: whether that is true, and a loop whose condition is never false.
 */
export const endlessLoops: Rule = (file) =>
  find(file, (node) => isUnbounded(node) && !isExplained(file, node, "Ends:")).map(
    (line) => `${line}: this loop must say why it ends (// Ends: …)`,
  );

function isUnbounded(node: SyntaxNode): boolean {
  const test = node["test"] as SyntaxNode | null | undefined;
  if (node.type === "DoWhileStatement") return true;
  if (node.type !== "ForStatement" && node.type !== "WhileStatement") return false;
  return !test || (test.type === "Literal" && Boolean(test["value"]));
}

/**
 * A text whose length comes from somewhere else: what `repeat()`, `padStart()` and `padEnd()` are given must be made of numbers
 * and of constants of the file, be at most such a one by `Math.min()`, or say why it is small in a comment that starts with
 * `Bounded:`. Not seen: texts that grow by concatenation, and `join()`.
 */
export const unboundedTexts: Rule = (file) => {
  const constants = new Map<string, boolean>();
  for (const node of file.nodes)
    if (node.type === "VariableDeclarator") {
      const name = nameOf(node["id"]);
      const bounded = isBounded(node["init"] as SyntaxNode | null, constants);
      constants.set(name, bounded && (constants.get(name) ?? true));
    }
  return find(
    file,
    (node) =>
      node.type === "CallExpression" &&
      isMember(node["callee"] as SyntaxNode, /^(repeat|padStart|padEnd)$/) &&
      !isBounded((node["arguments"] as readonly SyntaxNode[])[0], constants) &&
      !isExplained(file, node, "Bounded:"),
  ).map((line) => `${line}: this text must say why it is short (// Bounded: …), or be given a limit`);
};

/** @param constants whether the variables of the file are bounded themselves, by name */
function isBounded(length: SyntaxNode | null | undefined, constants: ReadonlyMap<string, boolean>): boolean {
  const bounded = (key: string): boolean => isBounded(length?.[key] as SyntaxNode, constants);
  switch (length?.type) {
    case "Literal":
      return true;
    case "Identifier":
      // A constant in capitals may be of another file.
      return constants.get(nameOf(length)) ?? /^[A-Z][A-Z0-9_]*$/.test(nameOf(length));
    case "BinaryExpression":
      // What is taken away, or divides, makes it no larger.
      return bounded("left") && (/^[-/%]$/.test(String(length["operator"])) || bounded("right"));
    case "ConditionalExpression":
      return bounded("consequent") && bounded("alternate");
    case "CallExpression": {
      const callee = length["callee"] as SyntaxNode;
      const given = length["arguments"] as readonly SyntaxNode[];
      return (
        isMember(callee, /^min$/) &&
        nameOf(callee["object"]) === "Math" &&
        given.some((one) => isBounded(one, constants))
      );
    }
    default:
      return false;
  }
}

const SWITCHES =
  /^(racing|testing|testMode|testOnly|(is|in|for|under|only|onlyFor|onlyIn)Tests?|VITEST|NODE_ENV)$/i;

/**
 * A switch that only tests turn: what observes a path wraps it, and never chooses another. Not seen: one that goes by another
 * name.
 */
export const testSwitches: Rule = (file) =>
  find(
    file,
    (node) =>
      (node.type === "Identifier" && SWITCHES.test(nameOf(node))) ||
      (node.type === "Literal" && typeof node["value"] === "string" && SWITCHES.test(node["value"])),
  ).map((line) => `${line}: a switch for tests chooses other code than users run`);

function isMessage(node: unknown): boolean {
  return node !== null && typeof node === "object" && isMember(node as SyntaxNode, /^message$/);
}

/** The lines of nodes that are refused, each once. */
function find(file: SourceFile, refused: (node: SyntaxNode) => boolean): number[] {
  const found = file.nodes.filter(refused).map(({ start }) => lineOf(file, start));
  return [...new Set(found)];
}
