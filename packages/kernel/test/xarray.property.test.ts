import * as fc from "fast-check";
import { expect, test } from "vitest";
import { entryValue, isValue, MAX_INDEX, NO_INDEX, valueEntry, XaMark, XArray } from "../src/lib/xarray.ts";

/** Close together and far apart, so that the tree gets high and nodes fill and empty. */
const index = fc.oneof(
  fc.nat(200),
  fc.nat(5000),
  fc.nat(MAX_INDEX),
  fc.constantFrom(0, 63, 64, 4095, 4096, MAX_INDEX - 1, MAX_INDEX),
);
const mark = fc.constantFrom(XaMark.dirty, XaMark.writeback);
const operation = fc.oneof(
  fc.record({ kind: fc.constant("store" as const), index, entry: fc.integer({ min: -1000, max: 1000 }) }),
  fc.record({ kind: fc.constant("mark" as const), index, mark }),
  fc.record({ kind: fc.constant("unmark" as const), index, mark }),
  fc.record({
    kind: fc.constant("find" as const),
    index,
    last: index,
    mark: fc.option(mark, { nil: undefined }),
  }),
);

interface Entry {
  readonly entry: number;
  readonly marks: ReadonlySet<XaMark>;
}

test("an XArray holds what a Map holds, finds it in order, and knows its marks", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
      const xarray = new XArray();
      const model = new Map<number, Entry>();
      for (const step of operations) {
        const had = model.get(step.index);
        switch (step.kind) {
          case "store":
            expect(xarray.store(step.index, step.entry)).toBe(had?.entry ?? 0);
            if (step.entry === 0) model.delete(step.index);
            else model.set(step.index, { entry: step.entry, marks: had?.marks ?? new Set() });
            break;
          case "mark":
            if (!had) break;
            xarray.setMark(step.index, step.mark);
            model.set(step.index, { entry: had.entry, marks: new Set([...had.marks, step.mark]) });
            break;
          case "unmark":
            xarray.clearMark(step.index, step.mark);
            if (had)
              model.set(step.index, {
                entry: had.entry,
                marks: new Set([...had.marks].filter((other) => other !== step.mark)),
              });
            break;
          case "find": {
            const { mark: wanted } = step;
            const expected = [...model]
              .filter(
                ([at, { marks }]) =>
                  at >= step.index && at <= step.last && (wanted === undefined || marks.has(wanted)),
              )
              .map(([at]) => at)
              .sort((a, b) => a - b)[0];
            const found =
              wanted === undefined
                ? xarray.find(step.index, step.last)
                : xarray.findMarked(step.index, step.last, wanted);
            expect(found).toBe(expected ?? NO_INDEX);
          }
        }
      }
      const walked: number[] = [];
      for (let at = xarray.find(0, MAX_INDEX); at !== NO_INDEX; at = xarray.find(at + 1, MAX_INDEX))
        walked.push(at);
      expect(walked).toEqual([...model.keys()].sort((a, b) => a - b));
      for (const [at, { entry, marks }] of model) {
        expect(xarray.load(at)).toBe(entry);
        expect(xarray.hasMark(at, XaMark.dirty)).toBe(marks.has(XaMark.dirty));
        expect(xarray.hasMark(at, XaMark.writeback)).toBe(marks.has(XaMark.writeback));
      }
      const entries = [...model.values()].map(({ entry }) => entry);
      expect(xarray.pages).toBe(entries.filter((entry) => entry > 0).length);
      expect(xarray.values).toBe(entries.filter((entry) => entry < 0).length);
    }),
    { numRuns: Number(process.env["HETMEM_RUNS"] ?? 500) },
  );
});

test("an XArray that was emptied keeps no node but its root", () => {
  const xarray = new XArray();
  for (let i = 0; i < 10_000; i++) xarray.store(i * 977, i + 1);
  const full = xarray.nodes;
  for (let i = 0; i < 10_000; i++) xarray.store(i * 977, 0);
  expect(full).toBeGreaterThan(1000);
  expect(xarray.nodes).toBe(1);
});

test("a value entry is told from a page, and gives its number back", () => {
  for (const value of [0, 1, 2 ** 31 - 1]) {
    expect(isValue(valueEntry(value))).toBe(true);
    expect(entryValue(valueEntry(value))).toBe(value);
  }
  expect(isValue(0)).toBe(false);
  expect(isValue(7)).toBe(false);
});

test("a page that takes the place of another keeps the marks of the place", () => {
  const xarray = new XArray();
  xarray.store(5, 1);
  xarray.setMark(5, XaMark.dirty);
  xarray.store(5, 2);
  expect(xarray.hasMark(5, XaMark.dirty)).toBe(true);
  xarray.store(5, 0);
  xarray.store(5, 3);
  expect(xarray.hasMark(5, XaMark.dirty)).toBe(false);
});
