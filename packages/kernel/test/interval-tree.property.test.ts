// The interval tree answers as a plain list would, whatever is inserted and removed, and whenever.
import { KernelBug, Random } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IntervalTree } from "../src/lib/interval-tree.ts";

/** HETMEM_RUNS says how many sequences; the slow suite asks for thousands. */
const RUNS = Number(process.env["HETMEM_RUNS"] ?? 500);

interface Interval {
  readonly first: number;
  readonly last: number;
  readonly name: number;
}

const treeOf = (): IntervalTree<Interval> =>
  new IntervalTree<Interval>(
    ({ first }) => first,
    ({ last }) => last,
  );

/** What the tree should do: a list in the order in which intervals came, asked one by one. */
class ListModel {
  readonly items: Interval[] = [];

  overlapping(first: number, last: number): Interval[] {
    return this.items
      .filter((item) => item.first <= last && item.last >= first)
      .sort((a, b) => a.first - b.first || a.name - b.name);
  }
}

const place = fc.integer({ min: 0, max: 40 });
const length = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 40 }));
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("insert" as const), first: place, length }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), which: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("look" as const), first: place, length }) },
);

describe("the interval tree", () => {
  test("answers as a list does", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const [tree, model] = [treeOf(), new ListModel()];
        for (const [name, what] of steps.entries()) {
          if (what.do === "insert") {
            const item = { first: what.first, last: what.first + what.length, name };
            tree.insert(item);
            model.items.push(item);
          } else if (what.do === "remove") {
            const [item] = model.items.splice(what.which % Math.max(1, model.items.length), 1);
            if (item) tree.remove(item);
          } else {
            const [first, last] = [what.first, what.first + what.length];
            const expected = model.overlapping(first, last);
            expect([...tree.overlapping(first, last)]).toEqual(expected);
            const visited: Interval[] = [];
            tree.visitOverlapping(first, last, (item) => visited.push(item));
            expect(visited).toEqual(expected);
            expect(tree.overlaps(first, last)).toBe(expected.length > 0);
          }
          expect(tree.size).toBe(model.items.length);
        }
      }),
      { numRuns: RUNS },
    );
  });

  test("gives each interval once that stays while others come and go behind the one just given", () => {
    const change = fc.record({ remove: fc.nat(1000), insert: fc.option(fc.tuple(place, length)) });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(place, length), { minLength: 1, maxLength: 40 }),
        fc.array(change, { maxLength: 40 }),
        (intervals, changes) => {
          const tree = treeOf();
          const live = new Set<Interval>();
          let name = 0;
          const insert = (first: number, size: number): void => {
            const item = { first, last: first + size, name: name++ };
            tree.insert(item);
            live.add(item);
          };
          for (const [first, size] of intervals) insert(first, size);
          const stays = new Set(live);
          const seen: Interval[] = [];
          for (const item of tree.overlapping(10, 30)) {
            expect(live.has(item), "one that is gone is not given").toBe(true);
            seen.push(item);
            const { remove = 0, insert: more } = changes[seen.length - 1] ?? {};
            const gone = [...live][remove % live.size] as Interval;
            if (remove > 0) {
              tree.remove(gone);
              live.delete(gone);
              stays.delete(gone);
            }
            if (more) insert(...more);
            if (live.size === 0) insert(0, 1);
          }
          expect(new Set(seen).size).toBe(seen.length);
          for (const item of stays) expect(seen.includes(item)).toBe(item.first <= 30 && item.last >= 10);
        },
      ),
      { numRuns: RUNS },
    );
  });

  test("lets each interval be removed as it is given", () => {
    const tree = treeOf();
    for (let name = 0; name < 100; name++) tree.insert({ first: name % 7, last: name, name });
    for (const item of tree.overlapping(0, 100)) tree.remove(item);
    expect(tree.size).toBe(0);
  });

  test("keeps a thousand intervals with the same first number in the order in which they came", () => {
    const tree = treeOf();
    for (let name = 0; name < 1000; name++) tree.insert({ first: 5, last: 5 + (name % 3), name });
    expect([...tree.overlapping(5, 5)].map(({ name }) => name)).toEqual([...Array(1000).keys()]);
  });

  test("stays balanced with ten thousand intervals, whatever the order: a look is no walk", () => {
    const random = new Random(7);
    const orders: readonly ((i: number) => number)[] = [(i) => i, (i) => -i, () => random.below(1_000_000)];
    for (const order of orders) {
      let looks = 0;
      const tree = new IntervalTree<{ readonly at: number }>(
        ({ at }) => at,
        ({ at }) => {
          looks++;
          return at + 3;
        },
      );
      const items = Array.from({ length: 10_000 }, (_, i) => ({ at: order(i) }));
      for (const item of items) tree.insert(item);
      // Each interval's ends are read when it comes, and never again.
      expect(looks).toBe(10_000);
      expect(depthOf(tree)).toBeLessThan(50);
      for (const item of items) tree.remove(item);
      expect(tree.size).toBe(0);
    }
  });

  test("refuses to take an interval twice, to give back what it doesn't have, and one that ends before it begins", () => {
    const tree = treeOf();
    const item = { first: 1, last: 2, name: 0 };
    tree.insert(item);
    expect(() => tree.insert(item)).toThrow(KernelBug);
    expect(() => tree.remove({ ...item })).toThrow(KernelBug);
    expect(() => tree.insert({ first: 2, last: 1, name: 1 })).toThrow(KernelBug);
  });
});

/** How deep the deepest node is, by way of what no other test needs to know of. */
function depthOf(tree: object): number {
  interface Below {
    readonly left: Below | undefined;
    readonly right: Below | undefined;
  }
  const depth = (node: Below | undefined): number =>
    node ? 1 + Math.max(depth(node.left), depth(node.right)) : 0;
  return depth((tree as { root: Below | undefined }).root);
}
