// A suite of rivals that never get in each other's way passes whatever the code does. So each names what must happen: its
// tasks succeed in some schedules, and those that can fail do, each with its errno.
import { KernelBug } from "@hetmem/kernel";

const SUCCESS = ": done";

/**
 * @param met how often each ending was met
 * @param named endings that must be met beside the success of each task
 * @throws KernelBug that names those that were not
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
