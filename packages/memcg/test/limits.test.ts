import { runRivals } from "@hetmem/explore";
import { condResched, MiB } from "@hetmem/kernel";
import { exitProcess, Rss } from "@hetmem/mm";
import { oomBadness } from "@hetmem/reclaim";
import { expect, test } from "vitest";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import { type LimitsMachine, limitsMachine, touchPages } from "@hetmem/test-machines/limits-machine";
import { mmOf } from "@hetmem/test-machines/vm-machine";

function cgroupOf({ memcgs }: LimitsMachine, name: string, parent: MemoryCgroup = memcgs.root): MemoryCgroup {
  return memcgs.create(parent, name);
}

/** Page cache of a cgroup. */
function cache(machine: LimitsMachine, cgroup: MemoryCgroup, pages: number): void {
  machine.read(machine.spawn(cgroup), machine.file(pages), 0, pages);
}

test("a cgroup over its memory.max without swap has somebody of it killed, and nobody else", () => {
  const machine = limitsMachine();
  const web = cgroupOf(machine, "web");
  web.memory.max = 1000;
  const other = machine.spawn(machine.memcgs.root, "other");
  machine.fill(other, 3000);
  const hog = machine.spawn(web, "hog");
  expect(machine.fill(hog, 2000)).toMatchObject({ signo: "SIGKILL" });
  expect(other.killed).toBe(false);
  expect([web.events("oom"), web.events("oom_kill")]).toEqual([1, 1]);
  machine.run(exitProcess(hog));
  machine.run(exitProcess(other));
});

test("a cgroup over its memory.max swaps its own pages, and those of others stay", () => {
  const machine = limitsMachine({ swap: 16 * MiB });
  const web = cgroupOf(machine, "web");
  web.memory.max = 1000;
  const other = machine.spawn(machine.memcgs.root, "other");
  machine.fill(other, 3000);
  expect(machine.fill(machine.spawn(web), 2000)).toBeUndefined();
  expect(web.memory.usage).toBeLessThanOrEqual(1000);
  expect(web.swap.usage).toBeGreaterThan(900);
  expect(mmOf(other).rss[Rss.swapEntries]).toBe(0);
});

test("a limit above is reclaimed from all below it, each in proportion to what it has", () => {
  const machine = limitsMachine();
  const web = cgroupOf(machine, "web");
  const [large, small] = [cgroupOf(machine, "large", web), cgroupOf(machine, "small", web)];
  cache(machine, large, 6000);
  cache(machine, small, 2000);
  const before = [large.memory.usage, small.memory.usage] as const;
  machine.run(machine.limits.reclaim(web, 2000, undefined));
  const taken = [before[0] - large.memory.usage, before[1] - small.memory.usage] as const;
  expect(taken[0] + taken[1]).toBeGreaterThanOrEqual(2000);
  expect(taken[0] / taken[1]).toBeGreaterThan(2);
  expect(taken[0] / taken[1]).toBeLessThan(4.5);
});

test("the machine's own shortage spares what memory.min protects, and takes what memory.low protects last", () => {
  const machine = limitsMachine({ nodes: [32 * MiB] });
  const [kept, spared, other] = ["kept", "spared", "other"].map((name) => cgroupOf(machine, name)) as [
    MemoryCgroup,
    MemoryCgroup,
    MemoryCgroup,
  ];
  kept.memory.setMin(1200);
  spared.memory.setLow(1200);
  for (const cgroup of [kept, spared, other]) cache(machine, cgroup, 1000);
  const hog = machine.spawn(machine.memcgs.root, "hog");
  machine.fill(hog, 5500);
  expect(kept.memory.usage).toBeGreaterThanOrEqual(1000);
  expect(spared.memory.usage).toBeGreaterThanOrEqual(1000);
  expect(other.memory.usage).toBeLessThan(900);
  expect(spared.events("low")).toBe(0);
  machine.fill(hog, 1100);
  expect(kept.memory.usage).toBeGreaterThanOrEqual(1000);
  expect(spared.memory.usage).toBeLessThan(900);
  expect(spared.events("low")).toBeGreaterThan(0);
});

test("what is above its protection goes in proportion to how far it is above", () => {
  const machine = limitsMachine();
  const web = cgroupOf(machine, "web");
  const [most, none] = [cgroupOf(machine, "most", web), cgroupOf(machine, "none", web)];
  cache(machine, most, 4000);
  cache(machine, none, 4000);
  most.memory.setMin(3600);
  const before = [most.memory.usage, none.memory.usage] as const;
  machine.run(machine.limits.reclaim(web, 400, undefined));
  const taken = [before[0] - most.memory.usage, before[1] - none.memory.usage] as const;
  expect(taken[0]).toBeGreaterThan(0);
  expect(taken[0] * 4).toBeLessThan(taken[1]);
});

test("nobody is protected from his own limit, even if he was from another's just before", () => {
  const machine = limitsMachine();
  const top = cgroupOf(machine, "top");
  const web = cgroupOf(machine, "web", top);
  web.memory.setMin(2000);
  cache(machine, web, 1000);
  cache(machine, cgroupOf(machine, "other", top), 1000);
  machine.run(machine.limits.reclaim(top, 32, undefined));
  expect(web.memory.usage).toBeGreaterThanOrEqual(1000);
  expect(web.memory.emin).toBeGreaterThan(0);
  machine.run(machine.limits.setMax(web, 500, undefined));
  expect(web.memory.usage).toBeLessThanOrEqual(500);
  expect(web.events("oom")).toBe(0);
});

test("who is above memory.high by a tenth sleeps on his way back, as long as the curve says, and counts as waiting", () => {
  const machine = limitsMachine();
  const { clock } = machine.vm.kernel;
  const web = cgroupOf(machine, "web");
  web.memory.high = 1000;
  const process = machine.spawn(web);
  machine.fill(process, 1000);
  const before = clock.nowNs;
  machine.fill(process, 110);
  expect(process.killed).toBe(false);
  expect(web.events("high")).toBeGreaterThan(0);
  expect(clock.nowNs - before).toBeGreaterThan(500e6);
  expect(clock.nowNs - before).toBeLessThan(3e9);
  expect(machine.limits.stalls.stalledNs(web)).toBeGreaterThan(500e6);
  expect(machine.limits.stalls.text(web)).toMatch(/^some avg10=\d+\.\d\d .*total=[1-9]\d+\nfull /);
});

test("who takes little above memory.high answers for it on his way back to user mode", () => {
  const machine = limitsMachine();
  const web = cgroupOf(machine, "web");
  const process = machine.spawn(web);
  machine.fill(process, 200);
  const start = machine.map(process, 1);
  machine.memcgs.stocks.drainAll(web);
  web.memory.high = web.memory.usage;
  machine.touch(process, start, 1);
  expect(web.events("high")).toBeGreaterThan(0);
  expect(machine.vm.kernel.clock.nowNs).toBeGreaterThan(0);
});

test("above memory.high what can be reclaimed goes, and then nobody sleeps", () => {
  const machine = limitsMachine();
  const web = cgroupOf(machine, "web");
  web.memory.high = 1000;
  cache(machine, web, 3000);
  machine.fill(machine.spawn(web), 500);
  expect(web.memory.usage).toBeLessThan(1100);
  expect(machine.vm.kernel.clock.nowNs).toBe(0);
});

test("memory.max set below what is in use reclaims, then kills, and stops there", () => {
  const machine = limitsMachine();
  const web = cgroupOf(machine, "web");
  const [small, large] = [machine.spawn(web, "small"), machine.spawn(web, "large")];
  machine.fill(small, 100);
  machine.fill(large, 800);
  machine.run(machine.limits.setMax(web, 300, undefined));
  expect([small.killed, large.killed]).toEqual([false, true]);
  expect(web.memory.usage).toBeLessThanOrEqual(300);
});

test("memory.reclaim says EAGAIN when nothing more can go", () => {
  const machine = limitsMachine();
  const web = cgroupOf(machine, "web");
  machine.fill(machine.spawn(web), 200);
  expect(() => machine.run(machine.limits.reclaim(web, 100, undefined))).toThrow(
    /^EAGAIN: 0 of 100 pages of \/web/,
  );
});

test("the last pages of a removed cgroup are scraped out, however few", () => {
  const machine = limitsMachine({ nodes: [32 * MiB] });
  const { memcgs } = machine;
  const web = cgroupOf(machine, "web");
  const old = cgroupOf(machine, "old", web);
  const reader = machine.spawn(old);
  machine.read(reader, machine.file(3), 0, 3);
  machine.run(exitProcess(reader));
  memcgs.offline(old);
  cache(machine, web, 2000);
  machine.run(machine.limits.reclaim(web, 32, undefined));
  expect([...web.children()]).toEqual([]);
});

test("a kill in a cgroup looks at its processes only, with badness by its own limit", () => {
  const machine = limitsMachine();
  const web = cgroupOf(machine, "web");
  web.memory.max = 1000;
  const adjusted = machine.spawn(web, "adjusted");
  adjusted.oomScoreAdj = 900;
  machine.fill(adjusted, 200);
  const large = machine.spawn(web, "large");
  expect(oomBadness(adjusted, 1000)).toBeGreaterThan(1000);
  expect(machine.fill(large, 850)).toBeUndefined();
  expect([adjusted.killed, large.killed]).toEqual([true, false]);
  const log = machine.log();
  expect(log).toContain("memory: usage 4000kB, limit 4000kB, failcnt");
  expect(log).toContain("Memory cgroup stats for /web:");
  expect(log).toMatch(/constraint=CONSTRAINT_MEMCG,.*,oom_memcg=\/web,task_memcg=\/web,task=adjusted/);
  expect(log).toContain("Memory cgroup out of memory: Killed process");
});

test("a shortage of the machine kills all of the victim's group, and the log says so", () => {
  const machine = limitsMachine({ nodes: [16 * MiB] });
  const web = cgroupOf(machine, "web");
  web.oomGroup = true;
  const sibling = machine.spawn(web, "sibling");
  machine.fill(sibling, 10);
  const bystander = machine.spawn(machine.memcgs.root, "bystander");
  machine.fill(bystander, 100);
  machine.fill(machine.spawn(web, "hog"), 6000);
  expect([sibling.killed, bystander.killed]).toEqual([true, false]);
  expect(web.events("oom_group_kill")).toBe(1);
  expect(machine.log()).toContain("Tasks in /web are going to be killed due to memory.oom.group set");
});

test("what is refused for swap is counted: max where a limit says no, fail in any case", () => {
  const machine = limitsMachine({ swap: 16 * MiB });
  const web = cgroupOf(machine, "web");
  web.memory.max = 500;
  web.swap.max = 100;
  machine.fill(machine.spawn(web), 700);
  expect(web.swap.usage).toBeLessThanOrEqual(100);
  expect(web.events("swap_max")).toBeGreaterThan(0);
  expect(web.events("swap_fail")).toBeGreaterThanOrEqual(web.events("swap_max"));
});

test("whoever writes a limit keeps the cgroup until he is done, wherever he is when it is removed", () => {
  runRivals(
    () => {
      const machine = limitsMachine({ nodes: [4 * MiB] });
      const { memcgs, limits, vm } = machine;
      const web = cgroupOf(machine, "web");
      const process = machine.spawn(web);
      machine.fill(process, 4);
      const writes = { begun: false, done: false };
      return {
        kernel: vm.kernel,
        tasks: {
          // There is no swap: he reclaims for nothing, kills, and takes what the victim had.
          *writer() {
            writes.begun = true;
            yield* limits.setMax(web, 1, undefined);
            writes.done = true;
          },
          *removal() {
            while (!writes.begun) yield condResched;
            memcgs.attach(mmOf(process), memcgs.root);
            memcgs.offline(web);
            yield* exitProcess(process);
          },
        },
        afterStep() {
          if (!writes.done) expect([...memcgs.root.children()]).toEqual([web]);
        },
        afterwards: () => expect([...memcgs.root.children()]).toEqual([]),
      };
    },
    { schedules: 100 },
  );
});

test("who waits for the machine's own reclaim is counted in the pressure of his cgroup and of the whole machine", () => {
  const machine = limitsMachine({ nodes: [8 * MiB], swap: 16 * MiB });
  const { limits, memcgs, vm } = machine;
  const [web, other] = [cgroupOf(machine, "web"), cgroupOf(machine, "other")];
  const hog = machine.spawn(web);
  machine.spawn(other);
  const start = machine.map(hog, 2500);
  // What others do meanwhile takes time.
  for (const _ of touchPages(hog, start, 2500)) vm.kernel.clock.advance(1000);
  expect(hog.killed).toBe(false);
  const waited = limits.stalls.stalledNs(memcgs.root);
  expect(waited).toBeGreaterThan(0);
  expect(waited).toBeLessThan(vm.kernel.clock.nowNs);
  expect([limits.stalls.stalledNs(web), limits.stalls.stalledNs(other)]).toEqual([waited, 0]);
});
