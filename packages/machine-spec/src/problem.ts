// Problems of a specification: a place, and a sentence that ends with the fix. Checks return all problems, so that a person who
// writes a machine by hand can mend them in one go.
import { KernelError } from "@hetmem/kernel";

/** Problems that are written out at most: a screen. */
const SHOWN_MAX = 20;

/** A place in a spec: ["nodes", 1, "memory", 0]. */
export type SpecPath = readonly (string | number)[];

export interface SpecProblem {
  readonly path: SpecPath;
  readonly message: string;
}

/** "nodes[1].memory[0]". */
function formatPath(path: SpecPath): string {
  return path
    .map((key, index) => (typeof key === "number" ? `[${key}]` : index === 0 ? key : `.${key}`))
    .join("");
}

/** @throws KernelError EINVAL with the problems, one a line, when there are any */
export function refuseProblems(problems: readonly SpecProblem[], where: (path: SpecPath) => string): void {
  if (problems.length === 0) return;
  const lines = problems
    .slice(0, SHOWN_MAX)
    .map(({ path, message }) => `${where(path)}${formatPath(path)}${path.length > 0 ? ": " : ""}${message}`);
  const more = problems.length - lines.length;
  if (more > 0) lines.push(`and ${more} more of the kind: mend these first`);
  throw new KernelError("EINVAL", lines.join("\n"));
}
