// Every page is paid for once while it is in use, whoever used it, moved it, split it or swapped it: random programs of
// several processes on a machine that keeps a bill.
import { swapSpace } from "@hetmem/reclaim";
import { ContentsMachine } from "@hetmem/test-machines/contents-machine";
import { program } from "@hetmem/test-machines/contents-operations";
import { CountingCharging } from "@hetmem/test-machines/counting-charging";
import * as fc from "fast-check";
import { expect, test } from "vitest";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 100);

test("as many pages are charged as are in use, through fork, copies, swap and migration, and none in the end", () => {
  fc.assert(
    fc.property(program, (operations) => {
      const charging = new CountingCharging();
      const contents = new ContentsMachine({ charging });
      const { machine, freeAtStart } = contents;
      for (const operation of operations) {
        contents.apply(operation);
        expect(charging.wrong).toEqual([]);
        expect(charging.pages).toBe(freeAtStart - machine.freePages());
        expect(charging.slots).toBe(
          swapSpace(machine.vm).devices.reduce((sum, device) => sum + device.used, 0),
        );
      }
      contents.finish();
      expect([charging.pages, charging.slots, charging.wrong]).toEqual([0, 0, []]);
    }),
    { numRuns: RUNS },
  );
}, 3_600_000);
