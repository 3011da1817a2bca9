// test_memcg_high, test_memcg_high_sync, test_memcg_max, test_memcg_reclaim and test_memcg_swap_max of the kernel's
// test_memcontrol.
import { MiB, type Sleeps } from "@hetmem/kernel";
import { MapFlag, mlock, mmap, Prot } from "@hetmem/mm";
import { expect, test } from "vitest";
import {
  allocAnon,
  allocPagecache,
  type CgroupUtil,
  cgroupUtil,
  type Program,
  valuesClose,
} from "./cgroup-util.ts";
import { mmOf } from "@hetmem/test-machines/vm-machine";

const CG = "memcg_test";

/** A cgroup without swap. */
function withoutSwap(): CgroupUtil {
  const cg = cgroupUtil({ swap: 256 * MiB });
  cg.create(CG);
  cg.write(CG, "memory.swap.max", "0");
  return cg;
}

function event(cg: CgroupUtil, key: string): number {
  return cg.readKeyLong(CG, "memory.events", key);
}

/** Fails where not all of 50 MiB of a file stays in memory. @see alloc_pagecache_50M_check() */
function pagecache50MCheck(cg: CgroupUtil): Program {
  const file = cg.machine.file(0);
  return function* (process, cgroup) {
    if ((yield* allocPagecache(file, 50 * MiB)(process, cgroup)) !== 0) return -1;
    const current = cg.readLong(cgroup, "memory.current");
    if (current < 50 * MiB) return -1;
    return valuesClose(cg.readKeyLong(cgroup, "memory.stat", "file"), current, 10) ? 0 : -1;
  };
}

/** Reads 50 MiB of a file, of which 30 MiB stay. @see alloc_pagecache_max_30M() */
function pagecacheMax30M(cg: CgroupUtil): Program {
  const file = cg.machine.file(0);
  return function* (process, cgroup) {
    const limits = ["memory.high", "memory.max"].map((name) => cg.readLong(cgroup, name));
    if (!limits.includes(30 * MiB)) return -1;
    if ((yield* allocPagecache(file, 50 * MiB)(process, cgroup)) !== 0) return -1;
    return valuesClose(cg.readLong(cgroup, "memory.current"), 30 * MiB, 5) ? 0 : -1;
  };
}

test("test_memcg_high: above memory.high page cache goes, and anonymous memory is slowed down but not refused", () => {
  const cg = withoutSwap();
  expect(cg.read(CG, "memory.high")).toBe("max\n");
  cg.write(CG, "memory.high", "30M");
  expect(cg.run(CG, allocAnon(cg, 31 * MiB))).toBe(0);
  expect(cg.machine.vm.kernel.clock.nowNs).toBeGreaterThan(0);
  expect(cg.run(CG, pagecache50MCheck(cg))).not.toBe(0);
  expect(cg.run(CG, pagecacheMax30M(cg))).toBe(0);
  expect(event(cg, "high")).toBeGreaterThan(0);
  expect(event(cg, "max")).toBe(0);
  cg.destroy(CG);
});

test("test_memcg_high_sync: who locks 200 MiB in one call is slowed down at 30 MiB, long before memory.max", () => {
  const cg = cgroupUtil();
  cg.create(CG);
  expect([event(cg, "high"), event(cg, "max")]).toEqual([0, 0]);
  cg.write(CG, "memory.swap.max", "0");
  cg.write(CG, "memory.high", "30M");
  cg.write(CG, "memory.max", "140M");
  const process = cg.child(CG);
  const mm = mmOf(process);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
  const length = 200 * MiB;
  const start = cg.machine.run(mmap(mm, { length, prot: Prot.READ | Prot.WRITE, flags }));
  stepUntil(mlock(mm, start, length), () => event(cg, "high") > 0);
  expect(event(cg, "max")).toBe(0);
  const current = cg.readLong(CG, "memory.current");
  expect(current).toBeLessThan(31 * MiB);
});

/** Drives a task until something has happened. */
function stepUntil(task: Sleeps<void>, happened: () => boolean): void {
  while (!happened()) if (task.next().done) return;
}

test("test_memcg_max: at memory.max page cache goes, and who wants more anonymous memory is killed", () => {
  const cg = withoutSwap();
  expect(cg.read(CG, "memory.max")).toBe("max\n");
  cg.write(CG, "memory.max", "30M");
  expect(cg.run(CG, allocAnon(cg, 100 * MiB))).not.toBe(0);
  expect(cg.run(CG, pagecacheMax30M(cg))).toBe(0);
  const current = cg.readLong(CG, "memory.current");
  expect(current).toBeGreaterThan(0);
  expect(current).toBeLessThanOrEqual(30 * MiB);
  expect(event(cg, "max")).toBeGreaterThan(0);
  cg.destroy(CG);
});

test("test_memcg_reclaim: a write to memory.reclaim takes as much as it says, of anonymous memory and page cache", () => {
  const cg = cgroupUtil({ swap: 256 * MiB });
  cg.create(CG);
  expect(cg.readLong(CG, "memory.current")).toBe(0);
  cg.runNowait(CG, allocPagecache(cg.machine.file(0), 50 * MiB));
  cg.runNowait(CG, allocAnon(cg, 50 * MiB));
  expect(valuesClose(cg.readLong(CG, "memory.current"), 100 * MiB, 10)).toBe(true);
  let errno: string | undefined = "EAGAIN";
  for (let retries = 5; errno === "EAGAIN" && retries > 0; retries--) {
    const excess = cg.readLong(CG, "memory.current") - 30 * MiB;
    expect(excess).toBeGreaterThan(0);
    errno = cg.write(CG, "memory.reclaim", `${excess}`);
  }
  expect(errno).toBeUndefined();
  const current = cg.readLong(CG, "memory.current");
  expect(current <= 30 * MiB || valuesClose(current, 30 * MiB, 3)).toBe(true);
});

test("test_memcg_swap_max: memory.swap.max limits what of a cgroup may be in swap", () => {
  const cg = cgroupUtil({ swap: 256 * MiB });
  cg.create(CG);
  expect(cg.readLong(CG, "memory.swap.current")).toBe(0);
  expect(cg.read(CG, "memory.max")).toBe("max\n");
  expect(cg.read(CG, "memory.swap.max")).toBe("max\n");
  cg.write(CG, "memory.swap.max", "30M");
  cg.write(CG, "memory.max", "30M");
  expect(cg.run(CG, allocAnon(cg, 100 * MiB))).not.toBe(0);
  expect(event(cg, "oom")).toBe(1);
  expect(event(cg, "oom_kill")).toBe(1);
  const check: Program = function* (process, cgroup) {
    const size = 50 * MiB;
    yield* allocAnon(cg, size)(process, cgroup);
    const memory = cg.readLong(cgroup, "memory.current");
    const swap = cg.readLong(cgroup, "memory.swap.current");
    return valuesClose(memory, 30 * MiB, 3) && swap > 0 && valuesClose(memory + swap, size, 3) ? 0 : -1;
  };
  expect(cg.run(CG, check)).toBe(0);
  expect(event(cg, "max")).toBeGreaterThan(0);
  cg.destroy(CG);
});
