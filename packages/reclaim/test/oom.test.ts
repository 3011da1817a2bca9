import { MiB } from "@hetmem/kernel";
import { exitProcess, Rss } from "@hetmem/mm";
import { shortMachine } from "@hetmem/test-machines/short-machine";
import { mmOf } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { oomBadness } from "../src/oom/oom-badness.ts";

/** More pages than the machine has. */
const TOO_MANY = 6000;

test("a process that wants more than there is, is killed, and its memory is free", () => {
  const machine = shortMachine();
  const before = machine.freePages();
  const hog = machine.spawn("hog");
  const signal = machine.fill(hog, machine.map(hog, TOO_MANY), TOO_MANY);
  expect(signal).toMatchObject({ signo: "SIGKILL", code: "SI_KERNEL" });
  expect(hog.killed).toBe(true);
  expect(machine.event("oom_kill")).toBe(1);
  machine.run(exitProcess(hog));
  expect(machine.freePages()).toBeGreaterThanOrEqual(before - 1);
});

test("the process with the most pages dies for the one that asks, which goes on", () => {
  const machine = shortMachine();
  const hog = machine.spawn("hog");
  machine.fill(hog, machine.map(hog, 2500), 2500);
  const other = machine.spawn("other");
  const start = machine.map(other, 1800);
  expect(machine.fill(other, start, 1800)).toBeUndefined();
  expect([hog.killed, other.killed]).toEqual([true, false]);
  expect(machine.damaged(other, start, 1800)).toEqual([]);
  expect(mmOf(hog).rss[Rss.anon]).toBe(0);
  expect(mmOf(hog).unstable).toBe(true);
});

test("a process with oom_score_adj -1000 is spared although it is the largest", () => {
  const machine = shortMachine();
  const spared = machine.spawn("spared");
  spared.oomScoreAdj = -1000;
  machine.fill(spared, machine.map(spared, 2500), 2500);
  const other = machine.spawn("other");
  const signal = machine.fill(other, machine.map(other, 2500), 2500);
  expect(signal?.signo).toBe("SIGKILL");
  expect(spared.killed).toBe(false);
});

test("a small process with a high oom_score_adj dies first", () => {
  const machine = shortMachine();
  const small = machine.spawn("small");
  small.oomScoreAdj = 1000;
  machine.fill(small, machine.map(small, 400), 400);
  const large = machine.spawn("large");
  machine.fill(large, machine.map(large, TOO_MANY), TOO_MANY);
  expect(small.killed).toBe(true);
});

test("the log says who asked, what everybody had, and who was killed", () => {
  const machine = shortMachine();
  const hog = machine.spawn("hog");
  machine.fill(hog, machine.map(hog, TOO_MANY), TOO_MANY);
  const log = machine.log();
  expect(log).toContain(
    "hog invoked oom-killer: gfp_mask=0x100dca(GFP_HIGHUSER_MOVABLE|__GFP_ZERO), order=0, oom_score_adj=0",
  );
  expect(log).toContain("[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name");
  expect(log).toContain(
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=hog,pid=2,uid=0",
  );
  expect(log).toMatch(
    /Out of memory: Killed process 2 \(hog\) total-vm:24000kB, anon-rss:\d+kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:\d+kB oom_score_adj:0/,
  );
  expect(log).toContain("oom_reaper: reaped process 2 (hog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB");
});

test("oom_kill_allocating_task kills the one who asks, however small", () => {
  const machine = shortMachine({ tunables: { overcommitMemory: 1, oomKillAllocatingTask: true } });
  const large = machine.spawn("large");
  machine.fill(large, machine.map(large, 2500), 2500);
  const small = machine.spawn("small");
  const signal = machine.fill(small, machine.map(small, 1500), 1500);
  expect(signal?.signo).toBe("SIGKILL");
  expect(large.killed).toBe(false);
});

test("badness counts resident pages, swapped ones and page tables, and a thousandth of all for each point", () => {
  const machine = shortMachine({ swap: 4 * MiB });
  const process = machine.spawn();
  machine.fill(process, machine.map(process, 100), 100);
  const mm = mmOf(process);
  mm.rss[Rss.swapEntries] = 7;
  const tables = mm.pageTable.tables - 1;
  expect(oomBadness(process, 5000)).toBe(100 + 7 + tables);
  process.oomScoreAdj = 10;
  expect(oomBadness(process, 5000)).toBe(100 + 7 + tables + 50);
  mm.rss[Rss.swapEntries] = 0;
});

test("memory and swap both full: reclaim, then swap, then a kill, and the others keep what they wrote", () => {
  const machine = shortMachine({ swap: 8 * MiB });
  const keeper = machine.spawn("keeper");
  const kept = machine.map(keeper, 1000);
  machine.fill(keeper, kept, 1000, 7);
  const hog = machine.spawn("hog");
  const signal = machine.fill(hog, machine.map(hog, 9000), 9000);
  expect(signal?.signo).toBe("SIGKILL");
  expect(machine.event("pswpout")).toBeGreaterThan(1000);
  expect(keeper.killed).toBe(false);
  expect(machine.damaged(keeper, kept, 1000, 7)).toEqual([]);
});

test("with nobody left to be killed the request fails, and nothing is thrown", () => {
  const machine = shortMachine();
  const process = machine.spawn("immortal");
  process.oomScoreAdj = -1000;
  const signal = machine.fill(process, machine.map(process, TOO_MANY), TOO_MANY);
  expect(signal).toMatchObject({ signo: "SIGKILL" });
  expect(machine.log()).toContain("Out of memory and no killable processes...");
  expect(machine.event("oom_kill")).toBe(0);
});
