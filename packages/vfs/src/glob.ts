// File name patterns as a POSIX shell has them: `*`, `?`, `[2-9]`, `[!x]`, `[[:digit:]]`, and a backslash that takes
// the meaning from the next character. The matcher keeps the set of pattern places that the text read so far can have
// reached, so that a match costs at most the text's length times the pattern's, however many stars there are, and the text's
// length for a pattern without any. User space
// counterparts: fnmatch(3), glob(3).

const CLASSES: Readonly<Record<string, string>> = {
  alnum: "A-Za-z0-9",
  alpha: "A-Za-z",
  blank: " \\t",
  digit: "0-9",
  lower: "a-z",
  punct: "!-\\/:-@\\[-`{-~",
  space: "\\s",
  upper: "A-Z",
  xdigit: "0-9A-Fa-f",
};
/** The first member may be a closing bracket. */
const BRACKET = /\[(?:[!^]|(?![!^]))(?:\]|\[:\w+:\]|\\.|[^\]\\])(?:\[:\w+:\]|\\.|[^\]\\])*\]/sy;

/**
 * One place of a pattern: it matches one given character, any one, any number of them, or one of a bracket
 * expression.
 */
type Token =
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "any" | "star" }
  | { readonly kind: "bracket"; readonly members: RegExp };

export class GlobPattern {
  readonly #tokens: readonly Token[];

  private constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  static parse(pattern: string): GlobPattern {
    return new GlobPattern(tokensOf(pattern));
  }

  /** The reversed pattern: it matches the reversals of the texts that this pattern matches. */
  reversed(): GlobPattern {
    return new GlobPattern(this.#tokens.toReversed());
  }

  /** Whether the pattern matches the whole text. */
  matches(text: string): boolean {
    let longest = -1;
    for (const length of this.prefixes(text)) longest = length;
    return longest === text.length;
  }

  /** The lengths of the prefixes of a text that the pattern matches, in characters, the shortest first. */
  *prefixes(text: string): Generator<number, void, void> {
    const tokens = this.#tokens;
    let reached = passStars(tokens, [0]);
    // Ends: with the text.
    for (let length = 0; ; length++) {
      if (reached.at(-1) === tokens.length) yield length;
      if (length === text.length) return;
      reached = passStars(tokens, step(tokens, reached, text.charAt(length)));
      if (reached.length === 0) return;
    }
  }
}

/** Whether a segment has `*`, `?` or a bracket expression. A bracket that isn't closed is a plain character. */
export function hasGlob(pattern: string): boolean {
  return tokensOf(pattern).some(({ kind }) => kind !== "character");
}

/** The name that a pattern without special characters matches: the pattern without its backslashes. */
export function unescapeGlob(pattern: string): string {
  return pattern.replaceAll(/\\(.)/gs, "$1");
}

/** A star may match no character: when the star is reached, the place behind it is reached too. @param reached ascending */
function passStars(tokens: readonly Token[], reached: readonly number[]): number[] {
  const passed: number[] = [];
  for (const place of reached) {
    if (place <= (passed.at(-1) ?? -1)) continue;
    passed.push(place);
    for (let star = place; tokens[star]?.kind === "star"; star++) passed.push(star + 1);
  }
  return passed;
}

/** The places reached after one more character of the text, ascending. @param reached ascending */
function step(tokens: readonly Token[], reached: readonly number[], character: string): number[] {
  const next: number[] = [];
  for (const place of reached) {
    const token = tokens[place];
    if (token === undefined || !takes(token, character)) continue;
    const then = token.kind === "star" ? place : place + 1;
    if (then !== next.at(-1)) next.push(then);
  }
  return next;
}

function takes(token: Token, character: string): boolean {
  if (token.kind === "character") return token.character === character;
  return token.kind !== "bracket" || token.members.test(character);
}

function tokensOf(pattern: string): Token[] {
  const tokens: Token[] = [];
  // Ends: each turn passes over a character at least.
  for (let at = 0; at < pattern.length;) {
    const character = pattern.charAt(at);
    BRACKET.lastIndex = at;
    const bracket = character === "[" ? BRACKET.exec(pattern)?.[0] : undefined;
    if (bracket) {
      tokens.push({ kind: "bracket", members: bracketToRegExp(bracket) });
      at += bracket.length;
    } else if (character === "\\" && at + 1 < pattern.length) {
      tokens.push({ kind: "character", character: pattern.charAt(at + 1) });
      at += 2;
    } else {
      tokens.push(
        character === "*"
          ? { kind: "star" }
          : character === "?"
            ? { kind: "any" }
            : { kind: "character", character },
      );
      at++;
    }
  }
  return tokens;
}

/**
 * A regular expression for one character of a bracket expression. A range whose end is before its start matches none.
 */
function bracketToRegExp(bracket: string): RegExp {
  const negated = /^\[[!^]/.test(bracket);
  const members = bracket.slice(negated ? 2 : 1, -1).match(/\[:\w+:\]|\\.|[^]/gs) ?? [];
  let body = "";
  // Ends: each turn passes over a member at least.
  for (let at = 0; at < members.length;) {
    const member = members[at] ?? "";
    const last = members[at + 1] === "-" ? members[at + 2] : undefined;
    if (member.startsWith("[:") && member.length > 2) {
      body += CLASSES[member.slice(2, -2)] ?? "";
      at++;
    } else if (last === undefined) {
      body += quoted(member);
      at++;
    } else {
      if (plain(member) <= plain(last)) body += `${quoted(member)}-${quoted(last)}`;
      at += 3;
    }
  }
  return new RegExp(negated ? `^[^${body}]$` : `^[${body}]$`, "s");
}

function plain(member: string): string {
  return member.replace(/^\\(?=.)/s, "");
}

function quoted(member: string): string {
  return plain(member).replaceAll(/[\\\]^[-]/g, String.raw`\$&`);
}
