// A rule that must hold whenever nobody is in the middle of something. Packages export theirs as a list, so that
// schedulers, fuzzers and a user's own tests can check them at any step.
import { KernelBug } from "./error.ts";

/** Says what is wrong, one sentence a finding; nothing when the rule holds. */
export interface Invariant<S> {
  readonly name: string;
  check(state: S): Iterable<string>;
}

/** @throws KernelBug that names each broken rule */
export function assertInvariants<S>(state: S, invariants: readonly Invariant<S>[]): void {
  const broken = invariants.flatMap((rule) =>
    Array.from(rule.check(state), (finding) => `${rule.name}: ${finding}`),
  );
  if (broken.length > 0) throw new KernelBug(broken.slice(0, 10).join("\n"));
}
