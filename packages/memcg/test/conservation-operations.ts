// Random programs for the conservation machine.
import * as fc from "fast-check";
import { type Operation, PAGES } from "./conservation-machine.ts";

const who = fc.nat(4);
const cgroup = fc.nat(5);
const range = { who, page: fc.nat(PAGES - 1), count: fc.integer({ min: 1, max: PAGES }) };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ op: fc.constant("create" as const), cgroup }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("remove" as const), cgroup }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("limit" as const),
      cgroup,
      counter: fc.constantFrom("memory" as const, "swap" as const),
      pages: fc.oneof(fc.integer({ min: 8, max: 60 }), fc.constant(1e6)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("move" as const), who, cgroup }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("spawn" as const), cgroup }) },
  {
    weight: 2,
    arbitrary: fc.oneof(
      fc.record({ op: fc.constant("fork" as const), who }),
      fc.record({ op: fc.constant("exit" as const), who }),
    ),
  },
  { weight: 6, arbitrary: fc.record({ op: fc.constant("touch" as const), ...range }) },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constantFrom("discard" as const, "pageout" as const, "toDevice" as const, "toRam" as const),
      ...range,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant("write" as const), who, file: fc.nat(1), page: fc.nat(7) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("truncate" as const), file: fc.nat(1), pages: fc.nat(6) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constantFrom("socket" as const, "object" as const),
      cgroup,
      size: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("fail" as const), percent: fc.constantFrom(0, 0, 20) }),
  },
);

/** What happens, one thing after the other. */
export const program: fc.Arbitrary<Operation[]> = fc.array(operation, {
  minLength: 20,
  maxLength: 60,
  size: "max",
});
