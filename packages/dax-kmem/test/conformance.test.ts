// kmem meets every obligation of a driver of the dax bus, by the rules of each release.
import { checkConformance, conforms, formatConformance } from "@hetmem/driver-kit";
import { daxDriverKit, type DaxDriverUnderTest } from "@hetmem/driver-kit/dax-driver";
import { expect, test } from "vitest";
import {
  Kmem,
  kmemAddOnly,
  kmemDriverManaged,
  kmemGrouped,
  kmemHotremove,
  type KmemPolicy,
} from "../src/index.ts";

test.each(Object.entries({ kmemAddOnly, kmemHotremove, kmemDriverManaged, kmemGrouped }))(
  "kmem with %s meets every obligation",
  (name, policy) => {
    const report = checkConformance(daxDriverKit, kmem(name, policy), { seeds: 7 });
    expect(conforms(report), formatConformance(report)).toBe(true);
  },
);

function kmem(name: string, policy: KmemPolicy): DaxDriverUnderTest {
  return {
    name,
    create: ({ vm, pagemaps: { hotplug } }) => new Kmem({ hotplug, memoryTypes: vm.tiers, policy }),
  };
}
