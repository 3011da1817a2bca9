// Two copies of a package in one program: of different versions, the second isn't loaded; of one version, their classes go together.
// `npm run test:packages` does it with packages that are really installed twice.
import { expect, test } from "vitest";
import { acrossCopies, KernelError, onlyVersion } from "../src/index.ts";

test("a package may be loaded twice in one version", () => {
  onlyVersion("@example/once", "0.1.0");
  expect(() => onlyVersion("@example/once", "0.1.0")).not.toThrow();
});

test("another version of a package is refused by a sentence that names both, and so is a third", () => {
  onlyVersion("@example/twice", "0.1.0");
  for (const other of ["0.2.0", "0.1.1"])
    expect(() => onlyVersion("@example/twice", other)).toThrow(
      new KernelError(
        "ENOEXEC",
        `versions 0.1.0 and ${other} of @example/twice are both in this program, and neither can use what the other makes: ` +
          "`npm ls @example/twice` shows which packages ask for them; install releases that ask for the same one",
      ),
    );
  expect(() => onlyVersion("@example/twice", "0.1.0")).not.toThrow();
});

function copyOfParent(): new () => object {
  return class Parent {
    static {
      acrossCopies(this, "ParentOfTest");
    }
  };
}

test("an object of one copy's class is an instance of the other's, and so is one of a subclass", () => {
  const [First, Second] = [copyOfParent(), copyOfParent()];
  class Child extends First {}
  class Sibling extends First {}
  expect(new First() instanceof Second).toBe(true);
  expect(new Child() instanceof Second).toBe(true);
  expect(new First() instanceof Child).toBe(false);
  expect(new Sibling() instanceof Child).toBe(false);
  expect(new Child() instanceof Child).toBe(true);
});

test.each([undefined, null, 0, "ParentOfTest", {}, new Error("x")])("%o is no instance", (value) => {
  expect((value as object) instanceof copyOfParent()).toBe(false);
});
