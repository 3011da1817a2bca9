// test_memcg_oom_events and test_memcg_oom_group_{leaf,parent,score}_events of the kernel's test_memcontrol.
import { MiB } from "@hetmem/kernel";
import { exitProcess } from "@hetmem/mm";
import { expect, test } from "vitest";
import { allocAnon, type CgroupUtil, cgroupUtil } from "./cgroup-util.ts";

const PARENT = "memcg_test_0";
const CHILD = "memcg_test_0/memcg_test_1";

function oomKills(cg: CgroupUtil, cgroup: string): number {
  return cg.readKeyLong(cgroup, "memory.events", "oom_kill");
}

test("test_memcg_oom_events: without swap a process over memory.max is killed, once, and counted once", () => {
  const cg = cgroupUtil({ swap: 256 * MiB });
  cg.create(PARENT);
  cg.write(PARENT, "memory.max", "30M");
  cg.write(PARENT, "memory.swap.max", "0");
  expect(cg.run(PARENT, allocAnon(cg, 100 * MiB))).not.toBe(0);
  expect(cg.read(PARENT, "cgroup.procs")).toBe("");
  expect(cg.readKeyLong(PARENT, "memory.events", "oom")).toBe(1);
  expect(oomKills(cg, PARENT)).toBe(1);
  cg.destroy(PARENT);
});

test("test_memcg_oom_group_leaf_events: with memory.oom.group all of the leaf are killed, and none above it", () => {
  const cg = cgroupUtil({ swap: 256 * MiB });
  cg.create(PARENT);
  cg.create(CHILD);
  cg.write(PARENT, "cgroup.subtree_control", "+memory");
  cg.write(CHILD, "memory.max", "50M");
  cg.write(CHILD, "memory.swap.max", "0");
  cg.write(CHILD, "memory.oom.group", "1");
  // A process for the parent, too, which can't go there beside children that have memory: it ends at once.
  const outside = cg.machine.spawn(cg.machine.memcgs.root);
  expect(cg.write(PARENT, "cgroup.procs", `${outside.pid}`)).toBe("EBUSY");
  cg.runNowait(CHILD, allocAnon(cg, MiB));
  cg.runNowait(CHILD, allocAnon(cg, MiB));
  expect(cg.run(CHILD, allocAnon(cg, 100 * MiB))).not.toBe(0);
  expect(cg.read(CHILD, "cgroup.procs")).toBe("");
  expect(oomKills(cg, CHILD)).toBeGreaterThan(0);
  // Not mounted with memory_localevents: the parent counts what happens below.
  expect(oomKills(cg, PARENT)).toBeGreaterThan(0);
  expect(cg.readKeyLong(PARENT, "memory.events.local", "oom_kill")).toBe(0);
  expect(cg.readKeyLong(CHILD, "memory.events", "oom_group_kill")).toBe(1);
});

test("test_memcg_oom_group_parent_events: with memory.oom.group in the parent all of it are killed, and of the leaf", () => {
  const cg = cgroupUtil({ swap: 256 * MiB });
  cg.create(PARENT);
  cg.create(CHILD);
  cg.write(PARENT, "memory.max", "80M");
  cg.write(PARENT, "memory.swap.max", "0");
  cg.write(PARENT, "memory.oom.group", "1");
  cg.runNowait(PARENT, allocAnon(cg, 60 * MiB));
  cg.runNowait(CHILD, allocAnon(cg, MiB));
  cg.runNowait(CHILD, allocAnon(cg, MiB));
  expect(cg.run(CHILD, allocAnon(cg, 100 * MiB))).not.toBe(0);
  expect(cg.read(CHILD, "cgroup.procs")).toBe("");
  expect(cg.read(PARENT, "cgroup.procs")).toBe("");
});

test("test_memcg_oom_group_score_events: of a group that is killed, who has oom_score_adj -1000 lives on", () => {
  const cg = cgroupUtil({ swap: 256 * MiB });
  cg.create(PARENT);
  cg.write(PARENT, "memory.max", "50M");
  cg.write(PARENT, "memory.swap.max", "0");
  cg.write(PARENT, "memory.oom.group", "1");
  const safe = cg.runNowait(PARENT, allocAnon(cg, MiB));
  safe.oomScoreAdj = -1000;
  cg.runNowait(PARENT, allocAnon(cg, MiB));
  expect(cg.run(PARENT, allocAnon(cg, 100 * MiB))).not.toBe(0);
  // The victim is counted when it is chosen, and again with its group.
  expect(oomKills(cg, PARENT)).toBe(3);
  expect(safe.killed).toBe(false);
  expect(cg.read(PARENT, "cgroup.procs")).toBe(`${safe.pid}\n`);
  cg.machine.run(exitProcess(safe));
  cg.destroy(PARENT);
});
