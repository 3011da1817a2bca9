// A client that isn't mm: memory cgroups pay for its objects where no Vm is.
import { assertInvariants, GiB, KernelBug, nodeId, physAddr, createKernel, run } from "@hetmem/kernel";
import { bootMemory } from "@hetmem/zone";
import { expect, test } from "vitest";
import { chargeKernel, MemoryCgroups, memcgInvariants, noRemedy, unchargeKernel } from "../src/index.ts";

function cgroupsWithoutVm(): MemoryCgroups {
  const nodes = [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(GiB) }], cpus: [0] }];
  const boot = { nodes, distances: [[10]], physicalBits: 40, maxPages: GiB / 4096, reserved: [] };
  return new MemoryCgroups(bootMemory(createKernel(), boot));
}

test("a client charges and gives back without a Vm, and the invariants are checked at each step", () => {
  const memcgs = cgroupsWithoutVm();
  const a = memcgs.create(memcgs.root, "a");
  const objects = [4096, 65_536].map((bytes) => run(chargeKernel(memcgs, a, bytes)));
  expect(a.kmem.usage).toBe(17);
  assertInvariants(memcgs, memcgInvariants);
  memcgs.offline(a);
  assertInvariants(memcgs, memcgInvariants);
  for (const object of objects) if (object) unchargeKernel(memcgs, object);
  expect(memcgs.root.memory.usage).toBe(0);
  assertInvariants(memcgs, memcgInvariants);
});

test("at a limit its own policy frees what it keeps", () => {
  const memcgs = cgroupsWithoutVm();
  const a = memcgs.create(memcgs.root, "a");
  a.memory.setMax(16);
  let kept = run(chargeKernel(memcgs, a, 65_536));
  memcgs.overLimit = {
    ...noRemedy,
    *overMax() {
      if (kept === undefined) return "fail";
      unchargeKernel(memcgs, kept);
      kept = undefined;
      return "retry";
    },
  };
  expect(run(chargeKernel(memcgs, a, 65_536))).toBeDefined();
  expect(run(chargeKernel(memcgs, a, 4096))).toBeUndefined();
  assertInvariants(memcgs, memcgInvariants);
});

test("what needs address spaces says that there are none", () => {
  expect(() => cgroupsWithoutVm().vm).toThrow(KernelBug);
});
