// test_memcg_min and test_memcg_low of the kernel's test_memcontrol: page cache below a limit of 200 MiB, of which 50 MiB
// are protected, claimed by three that use them and one that doesn't, under the pressure of a fifth.
import { MiB } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { allocAnon, allocPagecache, type CgroupUtil, cgroupUtil, valuesClose } from "./cgroup-util.ts";

const [A, B, G] = ["memcg_test_0", "memcg_test_0/memcg_test_1", "memcg_test_0/memcg_test_2"] as const;
const children = [0, 1, 2, 3].map((i) => `${B}/child_memcg_${i}`);
const CLAIMS = ["75M", "25M", "0", "500M"];

/** Makes the hierarchy, and has 148 MiB allocated beside it. */
function underPressure(attribute: "memory.min" | "memory.low"): CgroupUtil {
  const cg = cgroupUtil({ swap: 256 * MiB });
  const file = cg.machine.file(0);
  cg.create(A);
  expect(cg.readLong(A, attribute)).toBe(0);
  cg.write(A, "cgroup.subtree_control", "+memory");
  cg.write(A, "memory.max", "200M");
  cg.write(A, "memory.swap.max", "0");
  cg.create(B);
  cg.write(B, "cgroup.subtree_control", "+memory");
  cg.create(G);
  for (const [i, child] of children.entries()) {
    cg.create(child);
    if (i <= 2) cg.runNowait(child, allocPagecache(file, 50 * MiB));
  }
  cg.write(B, attribute, "50M");
  for (const [i, child] of children.entries()) cg.write(child, attribute, CLAIMS[i] as string);
  expect(valuesClose(current(cg, B), 150 * MiB, 3)).toBe(true);
  expect(cg.run(G, allocAnon(cg, 148 * MiB))).toBe(0);
  return cg;
}

function current(cg: CgroupUtil, cgroup: string): number {
  return cg.readLong(cgroup, "memory.current");
}

function expectSharesOfProtection(cg: CgroupUtil): void {
  expect(valuesClose(current(cg, B), 50 * MiB, 3)).toBe(true);
  const [c, d, , f] = children.map((child) => current(cg, child)) as [number, number, number, number];
  expect(valuesClose(c, 29 * MiB, 10)).toBe(true);
  expect(valuesClose(d, 21 * MiB, 10)).toBe(true);
  expect(f).toBe(0);
}

test("test_memcg_min: what is protected is shared by claim and use, and rather somebody is killed than it goes", () => {
  const cg = underPressure("memory.min");
  expectSharesOfProtection(cg);
  expect(cg.run(G, allocAnon(cg, 170 * MiB))).not.toBe(0);
  expect(valuesClose(current(cg, B), 50 * MiB, 3)).toBe(true);
});

test("test_memcg_low: what is protected goes before anybody is killed, with low events where it was protected", () => {
  const cg = underPressure("memory.low");
  expectSharesOfProtection(cg);
  expect(cg.run(G, allocAnon(cg, 170 * MiB))).toBe(0);
  expect(valuesClose(current(cg, B), 30 * MiB, 3)).toBe(true);
  for (const [i, child] of children.entries()) {
    expect(cg.readKeyLong(child, "memory.events", "oom")).toBe(0);
    expect(cg.readKeyLong(child, "memory.events", "low") > 0).toBe(i <= 1);
  }
});
