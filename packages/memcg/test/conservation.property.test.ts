// Nothing that is charged is ever lost, and nothing is charged twice: random programs of processes, cgroups, swap and a
// device, with allocations that fail; every counter is checked behind every step against a count made anew.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { NOBODY } from "../src/cgroup-ids.ts";
import { ConservationMachine } from "./conservation-machine.ts";
import { program } from "./conservation-operations.ts";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 40);

test("every counter is the sum of what is charged, at each step, and zero at the end", () => {
  fc.assert(
    fc.property(program, (operations) => {
      const machine = new ConservationMachine();
      for (const step of operations) {
        machine.apply(step);
        machine.check();
      }
      machine.finish();
      machine.check();
      const { root, owners, stocks } = machine.memcgs;
      stocks.drainAll(root);
      expect([root.memory.usage, root.swap.usage, root.kmem.usage]).toEqual([0, 0, 0]);
      expect(root.firstChild?.path).toBeUndefined();
      expect(owners.every((id) => id === NOBODY)).toBe(true);
    }),
    { numRuns: RUNS },
  );
}, 3_600_000);
