// Whatever cpu, devices and administrators do, a process reads what was written: random programs against a model that knows
// nothing but bytes. A reset loses what was on the device, no more, and says so. HETMEM_RUNS says how many.
import * as fc from "fast-check";
import { test } from "vitest";
import { mapInPlace, migrateAfter, migrateOnTouch, prefetchBlocks } from "../src/driver/index.ts";
import { BytesMachine, type Operation } from "./bytes-machine.ts";
import { MEMORY_TYPES } from "@hetmem/test-machines/gpu-machine";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 100);

const who = fc.nat(2);
const gpu = fc.nat(1);
// Mostly a few pages, so that what is done to a page meets what was done to it before.
const page = fc.oneof({ weight: 3, arbitrary: fc.nat(2) }, { weight: 2, arbitrary: fc.nat(9) });
const offset = fc.constantFrom(0, 4, 77, 4095);
const byte = fc.integer({ min: 1, max: 255 });
const count = fc.integer({ min: 1, max: 4 });
const op = <const Name extends Operation["op"]>(...names: Name[]): fc.Arbitrary<Name> =>
  fc.constantFrom(...names);

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: op("cpu write", "gpu write"), who, gpu, page, offset, byte }) },
  { weight: 6, arbitrary: fc.record({ op: op("cpu read", "gpu read"), who, gpu, page, offset }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: op("atomic", "write and reclaim"), who, gpu, page, offset, byte }),
  },
  { weight: 6, arbitrary: fc.record({ op: op("to device"), who, gpu, page, count }) },
  { weight: 3, arbitrary: fc.record({ op: op("back", "exclusive", "snapshot"), who, gpu, page, count }) },
  { weight: 2, arbitrary: fc.record({ op: op("fork"), who }) },
  { weight: 1, arbitrary: fc.record({ op: op("exit"), who }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: op("unmap", "forget", "pageout"), who, page, count: fc.constant(1) }),
  },
  { weight: 1, arbitrary: fc.record({ op: op("protect"), who, page, writable: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ op: op("evict"), gpu, count }) },
  { weight: 2, arbitrary: fc.record({ op: op("empty", "reset"), gpu }) },
);

/** Devices die last, or there would be little to see. */
const program = fc
  .tuple(
    fc.array(operation, { minLength: 20, maxLength: 60, size: "max" }),
    fc.option(fc.record({ op: op("fall off"), gpu }), { nil: undefined }),
    fc.array(operation, { maxLength: 10 }),
  )
  .map(([first, death, last]) => (death ? [...first, death, ...last] : first));
const policy = fc.constantFrom(mapInPlace, migrateOnTouch, prefetchBlocks(16 * 1024), migrateAfter(2));

for (const memoryType of MEMORY_TYPES) {
  test(`with ${memoryType} memory, every process reads what was written, and only a reset loses anything`, () => {
    fc.assert(
      fc.property(program, policy, fc.constantFrom(2, 5, 32), (operations, chosen, pages) => {
        const machine = new BytesMachine(memoryType, chosen, pages);
        for (const step of operations) {
          machine.apply(step);
          machine.machine.check();
        }
        machine.finish();
      }),
      { numRuns: RUNS },
    );
  }, 3_600_000);
}
