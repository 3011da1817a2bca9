// Text from outside in a message of ours: a file name, a word of a script. Its control characters would move the cursor of
// whoever reads the message, or worse.

/** The text with each control character, but for the newline, as `\\x1b`. */
export function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what it is about
  return text.replaceAll(/[\0-\x09\x0b-\x1f\x7f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
