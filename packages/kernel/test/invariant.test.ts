import { describe, expect, test } from "vitest";
import { assertInvariants, type Invariant } from "../src/index.ts";

const even: Invariant<number[]> = {
  name: "numbers are even",
  *check(numbers) {
    for (const number of numbers) if (number % 2 !== 0) yield `${number} is odd`;
  },
};
const few: Invariant<number[]> = {
  name: "there are few",
  check: (numbers) => (numbers.length > 3 ? ["too many"] : []),
};

describe("invariants", () => {
  test("that hold say nothing", () => {
    expect(() => assertInvariants([2, 4], [even, few])).not.toThrow();
  });

  test("that are broken are all named, with what broke them", () => {
    expect(() => assertInvariants([1, 2, 3, 4], [even, few])).toThrow(
      "numbers are even: 1 is odd\nnumbers are even: 3 is odd\nthere are few: too many",
    );
  });
});
