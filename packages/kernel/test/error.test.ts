import { describe, expect, test } from "vitest";
import { bugOn, errnoNumber, KernelBug, KernelError, strerror } from "../src/index.ts";

describe("errors", () => {
  test("an expected failure carries the errno and a sentence", () => {
    const error = new KernelError("EBUSY", "memory32 cannot go offline: page 0x100040 is pinned");
    expect(error).toBeInstanceOf(Error);
    expect(error.errno).toBe("EBUSY");
    expect(String(error)).toBe("KernelError: EBUSY: memory32 cannot go offline: page 0x100040 is pinned");
  });

  test("a broken rule is not an expected failure", () => {
    expect(new KernelBug("x")).not.toBeInstanceOf(KernelError);
    expect(new KernelError("EIO", "x")).not.toBeInstanceOf(KernelBug);
    expect(new KernelBug("x", { cause: "y" }).cause).toBe("y");
  });

  test.each([
    ["EPERM", 1, "Operation not permitted"],
    ["ENXIO", 6, "No such device or address"],
    ["EBUSY", 16, "Device or resource busy"],
    ["EINVAL", 22, "Invalid argument"],
    ["EOPNOTSUPP", 95, "Operation not supported"],
    ["EHWPOISON", 133, "Memory page has hardware error"],
  ] as const)("%s has Linux's number and words", (errno, number, words) => {
    expect([errnoNumber(errno), strerror(errno)]).toEqual([number, words]);
  });

  test("bugOn throws exactly when the rule is broken", () => {
    expect(() => bugOn(false, "fine")).not.toThrow();
    expect(() => bugOn(true, "a page on two lists")).toThrow(new KernelBug("a page on two lists"));
  });
});
