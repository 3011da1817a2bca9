import { expect, test } from "vitest";
import { plainJson, plainText } from "../src/plain-text.ts";

test("each control character is written out, line ends and tabs aside", () => {
  expect(plainText("a\u001b[31m\u0007\u009b\u202e\ud800\tb\n")).toBe(
    "a\\x1b[31m\\x07\\x9b\\u202e\\ud800\tb\n",
  );
  expect(JSON.parse(plainJson({ name: "\u009b\u202e" }))).toEqual({ name: "\u009b\u202e" });
  expect(plainJson({ name: "\u009b\u202e" })).toMatch(/^[\x20-\x7e\n]*$/);
});
