// Devices of one region in any order of sizes: each byte is somebody's once, or free.
import { assertInvariants, MiB, run } from "@hetmem/kernel";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { daxInvariants } from "../src/index.ts";
import { createSeed } from "../src/create-dev-dax.ts";
import { resizeDevice } from "../src/resize.ts";
import { addHmem, daxMachine } from "@hetmem/test-machines/dax-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 50);
const REGION_SIZE = 32 * MiB;

const resizes = fc.array(fc.record({ device: fc.nat(3), size: fc.nat(18).map((units) => units * 2 * MiB) }), {
  maxLength: 30,
});

test("sizes are had in full or not at all, and what devices have and what is free is the region", () => {
  fc.assert(
    fc.property(resizes, (steps) => {
      const machine = daxMachine({ small: true });
      const region = addHmem(machine, { size: REGION_SIZE, idle: true });
      for (let i = 0; i < 3; i++) run(createSeed(region));
      for (const { device: index, size } of steps) {
        const device = region.devices[index];
        if (!device) throw new Error("no device");
        const [before, free] = [device.size, region.availableSize];
        const ended = outcome(() => run(resizeDevice(device, size)));
        const fits = size - before <= free;
        expect([ended, device.size]).toEqual(fits ? ["done", size] : ["ENOSPC", before]);
        const given = region.devices.reduce((sum, each) => sum + each.size, 0);
        expect(given + region.availableSize).toBe(REGION_SIZE);
        assertInvariants(machine.bus, daxInvariants);
      }
    }),
    { numRuns: RUNS },
  );
});
