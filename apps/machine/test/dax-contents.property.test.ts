// A dax device beside an array of bytes: whatever is written, flushed, bound, booted and cut off from power in between.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { devdaxSeat, UNBIND_AND_BIND } from "./dax-seat.ts";

const RUNS = Math.ceil(Number(process.env["HETMEM_RUNS"] ?? 200) / 20);
const BYTES = 16;
/** In two lines, in two pages, and in the next entry of 2 MiB. */
const PLACES = [0, 8, 64, 4096 - 8, 2 * 1024 * 1024 - 8];

const place = fc.constantFrom(...PLACES);
const step = fc.oneof(
  fc.record({ kind: fc.constant("write" as const), at: place, text: fc.stringMatching(/^[a-z]{1,16}$/) }),
  fc.record({ kind: fc.constant("flush" as const), at: place, size: fc.integer({ min: 1, max: BYTES }) }),
  fc.record({ kind: fc.constantFrom("rebind" as const, "reboot" as const, "fail" as const) }),
);

test("a dax device is an array of bytes, of which a power failure takes the lines that were not flushed", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("memory_controller", "cpu_cache"),
      fc.array(step, { minLength: 1, maxLength: 8 }),
      (domain, steps) => {
        const seat = devdaxSeat("mem", domain);
        const newest = new Map<number, string>();
        const safe = new Map<number, string>();
        const save = (at: number, size: number): void => {
          for (let one = at - (at % 64); one < Math.ceil((at + size) / 64) * 64; one++)
            safe.set(one, newest.get(one) ?? ".");
        };
        for (const one of steps) {
          if (one.kind === "write") {
            expect(seat.proc("write", one.at, one.text)).toBe("");
            for (const [i, letter] of [...one.text].entries()) newest.set(one.at + i, letter);
          } else if (one.kind === "flush") {
            expect(seat.proc("flush", one.at, one.size)).toBe("");
            save(one.at, one.size);
          } else {
            if (one.kind === "rebind") seat.sh(UNBIND_AND_BIND);
            else if (one.kind === "reboot") seat.machine.reboot();
            else seat.machine.powerFail();
            seat.map();
            if (one.kind === "reboot" || (one.kind === "fail" && domain === "cpu_cache"))
              for (const at of newest.keys()) save(at, 1);
            if (one.kind === "fail") for (const at of newest.keys()) newest.set(at, safe.get(at) ?? ".");
          }
          for (const at of PLACES)
            expect(seat.read(at, BYTES)).toBe(
              Array.from({ length: BYTES }, (_none, i) => newest.get(at + i) ?? ".").join(""),
            );
        }
      },
    ),
    { numRuns: RUNS },
  );
});
