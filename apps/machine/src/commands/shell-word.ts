// Words of the commands that hetmem suggests, quoted so that a shell reads them as they are.

/** The word as a POSIX shell reads it: quoted where it needs to be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
