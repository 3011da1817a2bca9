// "Did you mean": the nearest to a mistyped name among those that exist.

/** Letters of a name that is looked for at most. */
const LENGTH_MAX = 64;

/** The name nearest to a mistyped one; undefined where more than a third of its letters are wrong. */
export function nearestName(typed: string, names: readonly string[]): string | undefined {
  if (typed.length > LENGTH_MAX) return undefined;
  let nearest: string | undefined;
  let fewest = Math.max(1, Math.floor(typed.length / 3)) + 1;
  for (const name of names) {
    const edits = name.length > LENGTH_MAX ? fewest : editDistance(typed, name);
    if (edits >= fewest) continue;
    fewest = edits;
    nearest = name;
  }
  return nearest;
}

/** Letters to add, leave out, change or swap with the next: the optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  let [twoBack, previous] = [[] as number[], Array.from({ length: b.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      const swap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? 1 : Number.POSITIVE_INFINITY;
      row[j] = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + change,
        (twoBack[j - 2] ?? 0) + swap,
      );
    }
    [twoBack, previous] = [previous, row];
  }
  return previous[b.length] ?? 0;
}
