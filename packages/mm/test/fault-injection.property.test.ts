// The allocator says no as often as it is told to, in the middle of whatever processes do: each operation either happens
// or leaves everything as it was, and the machine goes on. HETMEM_RUNS says how many programs.
import { assertInvariants } from "@hetmem/kernel";
import { coverageInvariants, watchCoverage } from "@hetmem/mmu-notifier";
import { ContentsMachine, type Operation } from "@hetmem/test-machines/contents-machine";
import { program } from "@hetmem/test-machines/contents-operations";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { vmInvariants } from "../src/invariants.ts";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 200);

/** From an allocation that fails now and then to one that hardly ever succeeds. */
const faults = fc.record({
  probability: fc.constantFrom(5, 20, 50, 90),
  seed: fc.nat(),
  interval: fc.integer({ min: 1, max: 3 }),
});

/** The only thing that an operation may fail with is that there is no memory. */
function tryToApply(contents: ContentsMachine, operation: Operation): void {
  try {
    contents.apply(operation);
  } catch (error) {
    if (!contents.mayLack(error)) throw error;
  }
}

test("whichever allocation fails, an operation happens or leaves everything as it was, and nothing leaks", () => {
  fc.assert(
    fc.property(program, faults, fc.boolean(), (operations, attributes, watched) => {
      const contents = new ContentsMachine();
      const { vm, kernel } = contents.machine;
      // Fork takes another path where somebody looks at entries.
      if (watched) watchCoverage(vm);
      const point = kernel.faults.point("fail_page_alloc");
      point.arm(attributes);
      for (const step of operations) {
        tryToApply(contents, step);
        assertInvariants(vm, vmInvariants);
        assertInvariants(vm, coverageInvariants);
      }
      point.disarm();
      contents.readEverything();
      contents.finish();
      assertInvariants(vm, vmInvariants);
      expect(contents.machine.freePages()).toBe(contents.freeAtStart);
      expect(vm.commit.pages).toBe(0);
      expect(vm.anonVmas.count).toBe(0);
    }),
    { numRuns: RUNS },
  );
}, 3_600_000);
