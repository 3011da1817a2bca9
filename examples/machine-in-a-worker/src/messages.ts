// What the page and the worker say to each other.

/** From the page: a line that was typed. */
export interface Command {
  readonly text: string;
}

/** From the worker: the machine has booted, or a command has ended. */
export type Answer =
  | { readonly kind: "booted"; readonly release: string }
  | { readonly kind: "ended"; readonly output: string };
