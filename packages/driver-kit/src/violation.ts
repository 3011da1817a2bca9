// A breach of an obligation, as a kit reports it.

/** A breach of an obligation. The message says what was found. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** @throws Violation with the sentence unless the condition holds */
export function demand(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Violation(sentence);
}
