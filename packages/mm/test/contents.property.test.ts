// Whatever is done to a process's memory, it reads what was written: random programs of several processes against a model
// that knows nothing but bytes. HETMEM_RUNS says how many.
import { assertInvariants } from "@hetmem/kernel";
import { ContentsMachine } from "@hetmem/test-machines/contents-machine";
import { program } from "@hetmem/test-machines/contents-operations";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { vmInvariants } from "../src/invariants.ts";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 500);

test("every process reads what it wrote, through fork, copies, swap, migration, mprotect, mremap and truncation", () => {
  fc.assert(
    fc.property(program, (operations) => {
      const contents = new ContentsMachine();
      for (const step of operations) {
        contents.apply(step);
        assertInvariants(contents.machine.vm, vmInvariants);
      }
      contents.readEverything();
      contents.finish();
      assertInvariants(contents.machine.vm, vmInvariants);
      expect(contents.machine.freePages()).toBe(contents.freeAtStart);
    }),
    { numRuns: RUNS },
  );
}, 3_600_000);
