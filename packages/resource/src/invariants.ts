// Invariants of resource trees, which hold between any two calls.
import type { Invariant } from "@hetmem/kernel";
import { descendants, type Resource, type ResourceTree } from "./resource.ts";

export const resourceInvariants: readonly Invariant<ResourceTree>[] = [
  {
    name: "a resource lies inside its parent and knows it",
    *check(tree) {
      for (const parent of withRoot(tree)) {
        for (const child of parent.children) {
          if (child.parent !== parent) yield `${child} does not name ${parent} as its parent`;
          if (!parent.contains(child.start, child.end)) yield `${child} leaves ${parent}`;
        }
      }
    },
  },
  {
    name: "siblings are sorted and disjoint",
    *check(tree) {
      for (const { children } of withRoot(tree)) {
        for (const [i, child] of children.entries()) {
          const before = children[i - 1];
          if (before && before.end >= child.start) yield `${child} does not come after ${before}`;
        }
      }
    },
  },
  {
    name: "a resource has at least one byte",
    *check(tree) {
      for (const resource of withRoot(tree)) {
        if (resource.end < resource.start) yield `${resource} ends before it starts`;
      }
    },
  },
  {
    name: "flags are 32-bit integers",
    *check(tree) {
      for (const resource of withRoot(tree)) {
        if (resource.flags !== (resource.flags | 0)) yield `${resource} has the flags ${resource.flags}`;
      }
    },
  },
];

function* withRoot(tree: ResourceTree): Generator<Resource, void, void> {
  yield tree;
  yield* descendants(tree);
}
