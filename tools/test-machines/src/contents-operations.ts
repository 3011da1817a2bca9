// Random programs for the contents machine: operations of several processes on memory that they share and copy.
import * as fc from "fast-check";
import { FILE_PAGES, KINDS, type Operation } from "./contents-machine.ts";

const who = fc.nat(3);
// Mostly a few pages of two mappings, so that operations often meet on the same page.
const slot = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 5) }, { weight: 1, arbitrary: fc.nat(5) });
const page = fc.oneof({ weight: 4, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(1023) });
const count = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 600 }));
const offset = fc.constantFrom(0, 1, 77, 4095);

/** One operation. */
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant("map" as const),
      who,
      slot,
      kind: fc.constantFrom(...KINDS),
      pages: fc.nat(15),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant("write" as const),
      who,
      slot,
      page,
      offset,
      byte: fc.integer({ min: 1, max: 255 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ op: fc.constant("read" as const), who, slot, page, offset }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("fork" as const), who }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("exit" as const), who }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("unmap" as const), who, slot, page, count }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("protect" as const),
      who,
      slot,
      page,
      count,
      writable: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant("move" as const), who, slot, to: fc.nat(4), pages: fc.nat(15) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant("advise" as const),
      who,
      slot,
      page,
      count,
      advice: fc.constantFrom("DONTNEED" as const, "PAGEOUT" as const, "COLD" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("migrate" as const), who, slot, node: fc.nat(1) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("truncate" as const),
      file: fc.nat(1),
      pages: fc.nat(FILE_PAGES),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("sync" as const) }) },
);

/** A program: 30 to 80 operations of the processes, one after the other. */
export const program: fc.Arbitrary<Operation[]> = fc.array(operation, {
  minLength: 30,
  maxLength: 80,
  size: "max",
});
