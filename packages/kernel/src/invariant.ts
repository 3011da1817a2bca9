// A rule that must hold whenever no operation is half done. Each package exports its rules as a list, which
// schedulers, fuzzers and a user's own tests can check at any step.
import { KernelBug } from "./error.ts";

/** A named rule. check() yields one sentence a violation, and nothing when the rule holds. */
export interface Invariant<S> {
  readonly name: string;
  check(state: S): Iterable<string>;
}

/** Checks all rules. @throws KernelBug that lists the first ten violations, each with the name of its rule */
export function assertInvariants<S>(state: S, invariants: readonly Invariant<S>[]): void {
  const broken: string[] = [];
  for (const rule of invariants)
    for (const finding of rule.check(state)) broken.push(`${rule.name}: ${finding}`);
  if (broken.length > 0) throw new KernelBug(broken.slice(0, 10).join("\n"));
}
