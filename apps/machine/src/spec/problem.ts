// What is wrong with a spec: where, and one sentence that ends with the fix. Checks return all that they find, so that a
// person who writes a machine by hand mends it in one go.
import { KernelError } from "@hetmem/kernel";

/** A place in a spec: ["nodes", 1, "memory", 0]. */
export type SpecPath = readonly (string | number)[];

export interface SpecProblem {
  readonly path: SpecPath;
  readonly message: string;
}

/** "nodes[1].memory[0]". */
export function formatPath(path: SpecPath): string {
  return path
    .map((key, index) => (typeof key === "number" ? `[${key}]` : index === 0 ? key : `.${key}`))
    .join("");
}

/** @throws KernelError EINVAL with every problem, one a line, when there are any */
export function refuseProblems(problems: readonly SpecProblem[], where: (path: SpecPath) => string): void {
  if (problems.length === 0) return;
  const lines = problems.map(
    ({ path, message }) => `${where(path)}${formatPath(path)}${path.length > 0 ? ": " : ""}${message}`,
  );
  throw new KernelError("EINVAL", lines.join("\n"));
}
