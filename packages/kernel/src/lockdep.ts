// Held locks of each task, and every order in which locks were ever taken. Taking A and then B once, and B and then A
// later, is reported the second time, whether or not the tasks deadlocked. Kernel counterpart:
// kernel/locking/lockdep.c.
import { KernelBug } from "./error.ts";

/** A context that takes locks. A machine begins with one, the boot context; a scheduler adds one per task. */
export interface LockHolder {
  readonly name: string;
  /** Names of the held locks, in the order in which they were taken. */
  readonly held: string[];
}

/** The first occasion on which one lock was taken while another was held. */
interface Edge {
  readonly task: string;
  readonly chain: readonly string[];
}

export class Lockdep {
  /** The running task. A scheduler sets it before each step. */
  current: LockHolder = { name: "swapper", held: [] };
  readonly #after = new Map<string, Map<string, Edge>>();

  /**
   * Records that the running task is about to take `lock`.
   *
   * @throws KernelBug when it holds a lock of that name, or the order is inverted
   */
  acquiring(lock: string): void {
    const { name, held } = this.current;
    if (held.length === 0) return;
    if (held.includes(lock))
      throw new KernelBug(`${name} takes ${lock}, which it already holds (${held.join(" -> ")})`);
    for (const before of held) {
      const chain = this.#path(lock, before);
      if (chain) throw new KernelBug(this.#report(lock, before, chain));
      this.#learn(before, lock);
    }
  }

  acquired(lock: string): void {
    this.current.held.push(lock);
  }

  released(lock: string): void {
    const at = this.current.held.lastIndexOf(lock);
    if (at < 0) throw new KernelBug(`${this.current.name} releases ${lock}, which it does not hold`);
    this.current.held.splice(at, 1);
  }

  /** @see lockdep_assert_held() in include/linux/lockdep.h */
  assertHeld(lock: string, by: string): void {
    if (!this.current.held.includes(lock))
      throw new KernelBug(`${by} needs ${lock}, and ${this.current.name} does not hold it`);
  }

  holds(lock: string): boolean {
    return this.current.held.includes(lock);
  }

  #learn(before: string, after: string): void {
    let edges = this.#after.get(before);
    if (!edges) this.#after.set(before, (edges = new Map()));
    if (!edges.has(after))
      edges.set(after, { task: this.current.name, chain: [...this.current.held, after] });
  }

  /** A chain of recorded orders from one lock to another, or undefined. */
  #path(from: string, to: string, seen: Set<string> = new Set()): string[] | undefined {
    if (from === to) return [from];
    seen.add(from);
    for (const next of this.#after.get(from)?.keys() ?? []) {
      if (seen.has(next)) continue;
      const rest = this.#path(next, to, seen);
      if (rest) return [from, ...rest];
    }
    return undefined;
  }

  #report(lock: string, before: string, chain: readonly string[]): string {
    const links = chain.slice(1).map((after, i) => {
      const edge = this.#after.get(chain[i] ?? "")?.get(after);
      return `${edge?.task ?? "?"} took ${edge?.chain.join(" -> ") ?? "?"}`;
    });
    return (
      `circular locking: ${this.current.name} holds ${this.current.held.join(" -> ")} and takes ${lock}, ` +
      `but ${lock} comes before ${before}: ${links.join("; ")}`
    );
  }
}
