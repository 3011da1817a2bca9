// Memory cgroups meet every obligation of a charging, with their limits and without.
import { checkConformance, conforms, formatConformance } from "@hetmem/driver-kit";
import { type ChargingUnderTest, pageChargingKit } from "@hetmem/driver-kit/page-charging";
import { KernelBug } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { Limits } from "../src/limits/limits.ts";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import { MemoryCgroups } from "../src/memory-cgroups.ts";

test.each([
  charging("memory cgroups that reclaim", true),
  charging("memory cgroups without a remedy", false),
])("$name meet every obligation", { timeout: 36_000_000 }, (subject) => {
  const report = checkConformance(pageChargingKit, subject, { seeds: 10 });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

function charging(name: string, reclaims: boolean): ChargingUnderTest {
  return {
    name,
    create(memory) {
      const memcgs = new MemoryCgroups(memory);
      if (reclaims) memcgs.overLimit = new Limits(memcgs);
      const [a, b] = [memcgs.create(memcgs.root, "a"), memcgs.create(memcgs.root, "b")];
      const cgroup = (payer: number): MemoryCgroup => {
        const found = [a, b].find(({ id }) => id === payer);
        if (found === undefined) throw new KernelBug(`${payer} is no cgroup of the trial`);
        return found;
      };
      return {
        charging: memcgs.charging,
        payers: [a.id, b.id],
        charged(payer) {
          memcgs.stocks.drainAll(cgroup(payer));
          return cgroup(payer).memory.usage;
        },
        slots: (payer) => cgroup(payer).swap.usage,
        limit: (payer, pages) => void (cgroup(payer).memory.max = pages),
        remove: (payer) => memcgs.offline(cgroup(payer)),
      };
    },
  };
}
