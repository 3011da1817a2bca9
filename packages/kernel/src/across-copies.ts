// npm may install one version of a package twice, in two folders. Each copy has classes of its own, and `instanceof` of one copy's class
// is false for objects of the other's, unless the class answers by name.

/**
 * Makes `value instanceof theClass` true for instances that another copy of the package has made. For classes whose `instanceof` decides
 * something in other packages; one that only guards a part of a machine with a KernelBug stays as it is, and costs less.
 *
 * Call it in a static block, with the name of the class, which minifiers change.
 */
export function acrossCopies(theClass: Class, name: string): void {
  const brand = Symbol.for(`hetmem.${name}`);
  Object.defineProperty(theClass.prototype, brand, { value: true });
  Object.defineProperty(theClass, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      // A subclass inherits this method and has no name of its own.
      if (this !== theClass) return Function.prototype[Symbol.hasInstance].call(this as Class, value);
      return typeof value === "object" && value !== null && brand in value;
    },
  });
}

type Class = abstract new (...args: never) => object;
