// Parts of a machine that serve its memory: the OOM killer's choice, memory tiers, demotion, promotion, reclaim and swap. Each
// that a caller gives is the one that the whole machine asks.
import { type NodeId, nodeId, type Page, run, type Sleeps, virtAddr } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { demotePagesTo, migrateMisplacedPage, scanForHints, setMempolicy } from "@hetmem/migrate";
import { MapFlag, mmap, type MmStruct, type Process, Prot, touchUser, type Vm } from "@hetmem/mm";
import {
  type Demotion,
  type MemoryTiers,
  noDemotion,
  noPromotion,
  noReclaim,
  noSwap,
  type OomChoice,
  type Promotion,
  type Swap,
} from "@hetmem/mm/ports";
import { Reclaim } from "@hetmem/reclaim";
import { Shell } from "@hetmem/shell";
import { expect, test } from "vitest";
import { createMachine, type Machine } from "../src/machine.ts";
import type { MachineParts } from "../src/parts/machine-parts.ts";
import { PROGRAMS } from "../src/programs/index.ts";

const NODES = `
nodes:
  - { memory: 256M, cpus: 0 }
  - { memory: 256M, cpus: 1 }
`;
const SWAP = `${NODES}swap: [{ path: /dev/sda2, size: 64M }]\n`;

interface Booted {
  readonly machine: Machine;
  sh(line: string): string;
}

function boot(parts: Partial<MachineParts>, text = NODES): Booted {
  const machine = createMachine(machineOfYaml(text, "parts.yaml", "v6.1"), parts);
  const shell = new Shell(machine, PROGRAMS);
  const sh = (line: string): string => run(shell.execute(line)).output;
  sh("cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir job");
  return { machine, sh };
}

function processOf({ machine: { vm } }: Booted, name: string): Process {
  const found = [...vm.processes].find(({ comm }) => comm === name);
  if (found === undefined) throw new Error(`no process ${name} runs`);
  return found;
}

function mmOf({ mm, pid }: Process): MmStruct {
  if (mm === undefined) throw new Error(`process ${pid} has exited`);
  return mm;
}

/** Has the cgroup give up pages that a process has touched in it. */
function reclaimOfJob({ sh }: Booted): void {
  sh("(echo 0 > job/cgroup.procs; proc start hog --node 0)");
  sh("proc mmap $(pidof hog) 4M --populate");
  sh("echo 2M > job/memory.reclaim");
}

test("a choice of one's own names the process that is killed, and rates it in /proc", () => {
  const smallest: OomChoice = {
    selectBadProcess({ candidates }) {
      const living = [...candidates()].filter(({ mm }) => mm?.oom === "none");
      return living.sort((a, b) => mmOf(a).rssPages - mmOf(b).rssPages)[0];
    },
    oomBadness: ({ comm }, totalPages) => (comm === "small" ? totalPages : 0),
  };
  const { sh } = boot({ oomChoice: () => smallest });
  sh("echo 8M > job/memory.max; (echo 0 > job/cgroup.procs; proc start small; proc start large)");
  expect(sh("cat /proc/$(pidof small)/oom_score; cat /proc/$(pidof large)/oom_score")).toBe("1333\n666\n");
  sh("proc mmap $(pidof large) 16M --populate");
  expect(/Killed process \d+ \((\w+)\)/.exec(sh("dmesg"))?.[1]).toBe("small");
});

/** Tiers by number of the node, though both nodes have cpus. */
function byNumber({ memory }: Vm): MemoryTiers {
  const all = (): NodeId[] => memory.nodes.flatMap((node) => (node ? [node.id] : []));
  return {
    get tiers() {
      return all().map((node) => ({ id: 10 + node, nodes: [node] }));
    },
    setAdistance: () => {},
    clearAdistance: () => {},
    isToptier: (node) => node === 0,
    nextDemotionNode: (node) => all().find((other) => other > node),
    allowedTargets: (node) => all().filter((other) => other > node),
  };
}

test("tiers of one's own are shown in /sys, and direct demotion", () => {
  const booted = boot({ tiers: byNumber });
  const { sh } = booted;
  expect(sh("cat /sys/devices/virtual/memory_tiering/memory_tier11/nodelist")).toBe("1\n");
  sh("echo true > /sys/kernel/mm/numa/demotion_enabled");
  reclaimOfJob(booted);
  expect(sh("grep pgdemote_direct /proc/vmstat")).not.toContain(" 0\n");
  expect(sh("grep anon= /proc/$(pidof hog)/numa_maps")).toContain("N1=");
});

test("without tiers of one's own, nodes with cpus are one tier, and nothing is demoted", () => {
  const booted = boot({});
  booted.sh("echo true > /sys/kernel/mm/numa/demotion_enabled");
  reclaimOfJob(booted);
  expect(booted.sh("grep pgdemote_direct /proc/vmstat")).toContain(" 0\n");
});

test("a demotion of one's own gets the cold pages, and decides without tiers", () => {
  const asked: number[] = [];
  const toOne = (vm: Vm): Demotion => ({
    canDemote: (node) => node === 0,
    *demotePages(pages, node, counter): Sleeps<readonly Page[]> {
      asked.push(node);
      return yield* demotePagesTo(vm, pages, { next: nodeId(1), allowed: [] }, counter);
    },
  });
  const booted = boot({ demotion: toOne });
  reclaimOfJob(booted);
  expect(new Set(asked)).toEqual(new Set([0]));
  expect(booted.sh("grep pgdemote_direct /proc/vmstat")).not.toContain(" 0\n");
});

/** A process on node 0 touches a page of node 1 at a NUMA hint. @returns the node of the page afterwards */
function touchAtHint(booted: Booted): number {
  booted.sh("proc start remote --node 0");
  const process = processOf(booted, "remote");
  const mm = mmOf(process);
  const request = { length: 4096, prot: Prot.READ | Prot.WRITE, flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS };
  const address = run(mmap(mm, request));
  setMempolicy(mm, { mode: "bind", nodes: [nodeId(1)] });
  run(touchUser(process, address));
  setMempolicy(mm, { mode: "default", nodes: [] });
  run(scanForHints(mm, 10_000));
  run(touchUser(process, address));
  return booted.machine.vm.memmap.nodeOf(mm.pageTable.value(mm.pageTable.find(virtAddr(address))) as Page);
}

test("a promotion of one's own is asked at a hint, and its answer holds", () => {
  const asked: Page[] = [];
  const promotes = (answer: (mm: MmStruct) => NodeId | undefined): (() => Promotion) => {
    return () => ({ migrateMisplacedPage, misplaced: ({ mm }, page) => (asked.push(page), answer(mm)) });
  };
  expect(touchAtHint(boot({ promotion: promotes(() => undefined) }))).toBe(1);
  expect(asked.length).toBeGreaterThan(0);
  expect(touchAtHint(boot({ promotion: promotes((mm) => mm.node) }))).toBe(0);
  expect(touchAtHint(boot({}))).toBe(0);
  expect(touchAtHint(boot({ promotion: () => noPromotion }))).toBe(1);
});

test("a reclaim of one's own is called by cgroups and between programs, and may call ours", () => {
  const calls = { cgroup: 0, kswapd: 0 };
  class Counting extends Reclaim {
    override tryToFreeMemCgroupPages(
      ...request: Parameters<Reclaim["tryToFreeMemCgroupPages"]>
    ): Sleeps<number> {
      calls.cgroup++;
      return super.tryToFreeMemCgroupPages(...request);
    }
    override runKswapd(): Sleeps<void> {
      calls.kswapd++;
      return super.runKswapd();
    }
  }
  const booted = boot({ reclaim: (vm) => new Counting(vm) }, SWAP);
  reclaimOfJob(booted);
  expect(calls.cgroup).toBeGreaterThan(0);
  expect(calls.kswapd).toBeGreaterThan(0);
  expect(booted.sh("grep pswpout /proc/vmstat")).not.toContain(" 0\n");
});

test("a machine without reclaim and demotion runs programs, and a cgroup at its limit gets no memory", () => {
  const { sh } = boot({ reclaim: noReclaim, demotion: () => noDemotion });
  expect(sh("echo alive")).toBe("alive\n");
  sh("echo 4M > job/memory.max; (echo 0 > job/cgroup.procs; proc start hog)");
  expect(sh("proc touch $(pidof hog) $(proc mmap $(pidof hog) 16M) 16M; echo $?")).toContain("137");
  expect(sh("echo alive")).toBe("alive\n");
});

test("a machine without swap has no /proc/swaps, and swapon says so", () => {
  const { sh } = boot({ swap: () => noSwap });
  expect(sh("cat /proc/swaps")).toContain("No such file");
  expect(sh("grep SwapTotal /proc/meminfo")).toMatch(/ 0 kB\n$/);
  expect(sh("swapon --show; swapoff -a; echo $?")).toBe("0\n");
  expect(sh("swapon --size 1M /dev/sdb")).toMatch(
    /swapon failed: Function not implemented\n.*made without swap/,
  );
  expect(() => createMachine(machineOfYaml(SWAP, "swap.yaml", "v6.1"), { swap: () => noSwap })).toThrow(
    /^ENOSYS: the machine was made without swap/,
  );
});

test("a swap of one's own is listed in /proc/swaps, and swapon and swapoff refuse it", () => {
  const area = { path: "/dev/zram0", kind: "partition", pages: 255, used: 5, priority: 7 } as const;
  const mine: Swap = { ...noSwap, areas: [area], totalPages: 255, freePages: 250 };
  const { sh } = boot({ swap: () => mine });
  expect(sh("cat /proc/swaps")).toMatch(/\/dev\/zram0 +partition\t1020\t\t20\t\t7\n$/);
  expect(sh("swapon --show")).toContain("/dev/zram0");
  expect(sh("swapoff /dev/zram0; echo $?")).toMatch(/Function not implemented\n.*is not SwapSpace.*\n4\n$/);
});

test("a part that makes something else is refused by the name of its port", () => {
  const wrong = { tiers: () => ({ tiers: [] }) } as unknown as Partial<MachineParts>;
  expect(() => boot(wrong)).toThrow(
    /^EINVAL: parts\.tiers made no MemoryTiers: its setAdistance\(\) is undefined/,
  );
  // @ts-expect-error An OomChoice rates processes, too.
  expect(() => boot({ oomChoice: () => ({ selectBadProcess: () => undefined }) })).toThrow(
    /^EINVAL: parts\.oomChoice made no OomChoice/,
  );
});
