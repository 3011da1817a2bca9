// test_memcg_subtree_control and test_memcg_current of the kernel's test_memcontrol.
import { MiB } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { allocAnon, allocPagecache, cgroupUtil, type Program, valuesClose } from "./cgroup-util.ts";

test("test_memcg_subtree_control: a cgroup has memory if its parent enables it, and not otherwise", () => {
  const cg = cgroupUtil();
  cg.create("memcg_test_0");
  expect(cg.write("memcg_test_0", "cgroup.subtree_control", "+memory")).toBeUndefined();
  cg.create("memcg_test_0/memcg_test_1");
  expect(cg.read("memcg_test_0/memcg_test_1", "cgroup.controllers")).toContain("memory");
  cg.create("memcg_test_1");
  cg.create("memcg_test_1/memcg_test_1");
  expect(cg.read("memcg_test_1/memcg_test_1", "cgroup.controllers")).not.toContain("memory");
  for (const cgroup of [
    "memcg_test_1/memcg_test_1",
    "memcg_test_1",
    "memcg_test_0/memcg_test_1",
    "memcg_test_0",
  ])
    cg.destroy(cgroup);
});

test("test_memcg_current: 50 MiB of anonymous memory, and of page cache, are what memory.current and memory.stat say", () => {
  const cg = cgroupUtil();
  const size = 50 * MiB;
  const alone = (program: Program, key: string, percent: number): Program =>
    function* (process, cgroup) {
      yield* program(process, cgroup);
      const current = cg.readLong(cgroup, "memory.current");
      const counted = cg.readKeyLong(cgroup, "memory.stat", key);
      return current >= size && valuesClose(counted, current, percent) ? 0 : -1;
    };
  cg.create("memcg_test");
  expect(cg.readLong("memcg_test", "memory.current")).toBe(0);
  const anon: Program = function* (process, cgroup) {
    const code = yield* alone(allocAnon(cg, size), "anon", 3)(process, cgroup);
    return code === 0 && valuesClose(size, cg.readLong(cgroup, "memory.current"), 3) ? 0 : -1;
  };
  expect(cg.run("memcg_test", anon)).toBe(0);
  expect(cg.run("memcg_test", alone(allocPagecache(cg.machine.file(0), size), "file", 10))).toBe(0);
  cg.destroy("memcg_test");
});
