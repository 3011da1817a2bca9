// Required endings. A suite whose tasks never conflict would pass whatever the code does. Each suite therefore names
// endings that must occur: each task succeeds in some schedule, and the named failures occur, each with its errno.
import { KernelBug } from "@hetmem/kernel";

const SUCCESS = ": done";

/**
 * Checks that all required endings occurred.
 *
 * @param met number of occurrences of each ending
 * @param named endings that must occur besides the success of each task
 * @throws KernelBug that names the missing endings
 */
export function demandEndings(met: ReadonlyMap<string, number>, named: readonly string[]): void {
  const tasks = new Set([...met.keys()].map((ending) => ending.slice(0, ending.lastIndexOf(": "))));
  const missing = [...new Set([...[...tasks].map((task) => task + SUCCESS), ...named])].filter(
    (ending) => !met.has(ending),
  );
  if (missing.length === 0) return;
  const seen = [...met].map(([ending, times]) => `${ending} (${times})`).join(", ");
  throw new KernelBug(
    `no schedule ended in "${missing.join('", nor in "')}": the rivals never met there; there were ${seen}`,
  );
}
