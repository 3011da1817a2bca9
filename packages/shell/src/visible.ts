// Text from outside in an error message: a file name, a word of a script. Its control characters would move the cursor of
// the reader's terminal, or worse.

/** The text with each control character, but for the newline, as `\\x1b`. */
export function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- the expression finds control characters
  return text.replaceAll(/[\0-\x09\x0b-\x1f\x7f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
