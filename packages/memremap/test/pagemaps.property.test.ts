// Devices that come and go in any order, with failures injected wherever the kernel allocates: each step happens or
// doesn't, and in the end the machine is what it was. HETMEM_RUNS says how many histories are tried.
import { MiB, type NodeId, type Page, run } from "@hetmem/kernel";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  defaultPagemapPolicies,
  type DevPagemap,
  type Device,
  devmMemremapPages,
  Devres,
  MEMREMAP_FAULT_POINTS,
  MemoryType,
} from "../src/index.ts";
import { pagemapMachine, devicePagemap, LATER, START } from "@hetmem/test-machines/pagemap-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { SECTION } from "@hetmem/test-machines/ram";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 60);

interface Bound {
  readonly device: Device;
  readonly pagemap: DevPagemap;
  /** Pages that somebody holds. */
  readonly held: Page[];
}

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("bind" as const),
      start: fc.nat(15),
      size: fc.integer({ min: 1, max: 12 }),
      second: fc.option(fc.nat(15)),
      node: fc.nat(1),
      altmap: fc.boolean(),
      fail: fc.option(fc.record({ point: fc.constantFrom(...MEMREMAP_FAULT_POINTS), space: fc.nat(1) })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("unbind" as const), which: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("hold" as const), which: fc.nat(3), page: fc.nat(511) }),
  },
);

test.each([
  ["whole sections", defaultPagemapPolicies],
  ["subsections", LATER],
] as const)("devices mapped in %s come and go, and leave no trace", (_name, policies) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const machine = pagemapMachine({ policies, room: 12 * SECTION });
      const before = machine.fingerprint();
      const bound: Bound[] = [];
      const unbind = ({ device, held }: Bound): void => {
        for (const page of held) machine.memmap.putPage(page);
        run(device.devres.releaseAll());
      };
      for (const each of steps) {
        const target = each.kind === "bind" ? undefined : bound[each.which % Math.max(bound.length, 1)];
        if (each.kind === "hold" && target) {
          const page = machine.page(target.pagemap, each.page % target.pagemap.pages(0));
          machine.memmap.getPage(page);
          target.held.push(page);
        } else if (each.kind === "unbind" && target) {
          unbind(bound.splice(bound.indexOf(target), 1)[0] as Bound);
        } else if (each.kind === "bind") {
          const present = machine.fingerprint();
          const ranges = [{ start: START + each.start * 32 * MiB, size: each.size * 2 * MiB }];
          if (each.second !== null)
            ranges.push({ start: START + SECTION * (8 + (each.second >> 2)), size: 4 * MiB });
          const pagemap = devicePagemap({
            type: MemoryType.DeviceFsDax,
            ranges,
            ...(each.altmap && { altmap: { reserve: 1, free: 400 } }),
          });
          const device = { name: "pmem0", node: each.node as NodeId, devres: new Devres() };
          const { faults } = machine.kernel;
          if (each.fail)
            faults.point(each.fail.point).arm({ probability: 100, space: each.fail.space, times: 1 });
          const result = outcome(() => run(devmMemremapPages(machine.pagemaps, device, pagemap)));
          faults.disarmAll();
          if (result === "done") bound.push({ device, pagemap, held: [] });
          else expect(machine.fingerprint()).toEqual(present);
        }
        machine.check();
      }
      for (const each of bound) unbind(each);
      machine.check();
      expect(machine.fingerprint()).toEqual(before);
    }),
    { numRuns: RUNS },
  );
});
