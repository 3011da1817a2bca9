// File name patterns as a POSIX shell has them: `*`, `?`, `[2-9]`, `[!x]`, `[[:digit:]]`, and a backslash that takes
// the meaning from the next character. User space counterparts: fnmatch(3), glob(3).

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

/** Whether a segment has characters that stand for others. */
export function hasGlob(pattern: string): boolean {
  return /[*?[]/.test(pattern.replaceAll(/\\./g, ""));
}

/** The name that a pattern without special characters stands for. */
export function unescapeGlob(pattern: string): string {
  return pattern.replaceAll(/\\(.)/gs, "$1");
}

/** The names that a pattern matches, as a regular expression over the whole of one. */
export function globToRegExp(pattern: string): RegExp {
  let source = "";
  for (let i = 0; i < pattern.length;) {
    const char = pattern.charAt(i);
    const bracket =
      char === "[" ? /^\[[!^]?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]/s.exec(pattern.slice(i))?.[0] : undefined;
    if (bracket) {
      source += bracketToClass(bracket);
      i += bracket.length;
    } else if (char === "\\" && i + 1 < pattern.length) {
      source += escapeRegExp(pattern.charAt(i + 1));
      i += 2;
    } else {
      source += char === "*" ? "[^]*" : char === "?" ? "[^]" : escapeRegExp(char);
      i++;
    }
  }
  return new RegExp(`^${source}$`, "u");
}

function bracketToClass(bracket: string): string {
  const negated = /^\[[!^]/.test(bracket);
  const members = bracket.slice(negated ? 2 : 1, -1).match(/\[:\w+:\]|\\.|[^]/gs) ?? [];
  const body = members.map((member, index) => {
    if (member.startsWith("[:") && member.length > 2) return CLASSES[member.slice(2, -2)] ?? "";
    if (member === "-" && index > 0 && index < members.length - 1) return "-";
    return member.replace(/^\\(?=.)/s, "").replaceAll(/[\\\]^[-]/g, String.raw`\$&`);
  });
  return `[${negated ? "^" : ""}${body.join("")}]`;
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
