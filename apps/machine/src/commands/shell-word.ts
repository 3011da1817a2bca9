// Words of the commands that hetmem suggests: whoever pastes one into a shell gets the same word.

/** The word as a POSIX shell reads it: quoted where it needs to be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
