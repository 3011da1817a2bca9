// Processes that begin, take memory and end, and files that reclaim, beside somebody who changes the tree of cgroups through
// its files. After each step every process is charged to the cgroup that it is in, counters agree with what is charged, and
// in the end nothing is left of any cgroup.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { cgroupInvariants } from "@hetmem/cgroup";
import { byTurns, rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import {
  assertInvariants,
  bugOn,
  condResched,
  KernelError,
  MiB,
  Random,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import { exitProcess, forkProcess, type Process } from "@hetmem/mm";
import { expect, test } from "vitest";
import { memcgInvariants } from "../src/invariants.ts";
import { type FilesMachine, filesMachine } from "@hetmem/test-machines/files-machine";
import { touchPages } from "@hetmem/test-machines/limits-machine";

const PLAN = rivalsPlan(process.env, 2);
/** The same paths meet other rivals in limits.rivals.test.ts: the two share their schedules. */
const PAGES = 8;
const TOP = "/sys/fs/cgroup";

interface World {
  readonly files: FilesMachine;
  readonly random: Random;
  /** In /w/a. */
  readonly worker: Process;
}

type Body = (world: World) => Sleeps<unknown>;

/** /w with /w/a and /w/b, which all have memory. */
function world(seed: number): World {
  const files = filesMachine({ nodes: [4 * MiB], swap: 16 * 4096 });
  for (const path of ["", "/w"]) {
    if (path !== "") files.mkdir(path);
    files.echo("+memory", `${path}/cgroup.subtree_control`);
  }
  for (const path of ["/w/a", "/w/b"]) files.mkdir(path);
  const worker = files.start("/w/a");
  return { files, random: new Random(seed), worker };
}

function* take({ files: { machine } }: World, owner: Process): Sleeps<void> {
  if (!owner.mm) return;
  yield* touchPages(owner, machine.map(owner, PAGES), PAGES);
  if (owner.killed) yield* exitProcess(owner);
}

const PATHS: Readonly<Record<string, Body>> = {
  *"a process that takes memory"(here) {
    yield* take(here, here.worker);
  },
  *"a fork, and a child that takes memory"(here) {
    yield* take(here, here.worker);
    const child = yield* forkProcess(here.worker);
    yield* take(here, child);
    yield* exitProcess(child);
  },
  *"a process that ends"(here) {
    yield* take(here, here.worker);
    yield* exitProcess(here.worker);
  },
  *"a write to memory.max"(here) {
    yield* take(here, here.worker);
    yield* typed(here, "/w/a/memory.max", "24K");
  },
  *"a write to memory.reclaim"(here) {
    yield* take(here, here.worker);
    yield* typed(here, "/w/memory.reclaim", "16K");
  },
};

const RIVALS: Readonly<Record<string, Body>> = {
  *"moves and a removal"(here) {
    const { pid } = here.worker;
    yield* typed(here, "/w/b/cgroup.procs", `${pid}`);
    yield condResched;
    removed(here, "/w/a");
    yield condResched;
    yield* typed(here, "/cgroup.procs", `${pid}`);
    removed(here, "/w/b");
    removed(here, "/w");
  },
  *"a controller that is disabled and enabled"(here) {
    for (const text of ["-memory", "+memory", "-memory"]) {
      yield* typed(here, "/w/cgroup.subtree_control", text);
      yield condResched;
    }
  },
  *"cgroups that come and go"(here) {
    for (let round = 0; round < 3; round++) {
      here.files.mkdir("/w/c");
      yield* typed(here, "/w/c/cgroup.procs", `${here.worker.pid}`);
      yield condResched;
      yield* typed(here, "/w/b/cgroup.procs", `${here.worker.pid}`);
      for (const child of here.files.machine.vm.processes)
        yield* typed(here, "/w/b/cgroup.procs", `${child.pid}`);
      yield condResched;
      removed(here, "/w/c");
    }
  },
  *"a limit"(here) {
    yield* typed(here, "/w/memory.max", "16K");
    yield* typed(here, "/w/memory.max", "max");
  },
  *"cgroup.kill"(here) {
    for (let i = 0; i < 4; i++) yield condResched;
    yield* typed(here, "/w/cgroup.kill", "1");
  },
};

/** What the machine refuses, or what is gone, stops nobody. */
function* typed({ files: { vfs } }: World, path: string, text: string): Sleeps<void> {
  try {
    yield* vfs.write(`${TOP}${path}`, text);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

function removed({ files }: World, path: string): void {
  try {
    files.rmdir(path);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

function scenario(body: Body): (seed: number) => Scenario {
  return (seed) => {
    const here = world(seed);
    const { vm } = here.files.machine;
    const [name, rival] = byTurns(RIVALS, seed);
    let steps = 0;
    return {
      kernel: vm.kernel,
      tasks: { path: () => body(here), [name]: () => rival(here) },
      // Every step is looked at in one schedule of three, every fourth of the others.
      afterStep: () => {
        if (seed % 3 === 0 || steps++ % 4 === 0) check(here);
      },
      afterwards: () => theEnd(here),
    };
  };
}

/** Everybody pays where he is, and is counted there. */
function check({ files: { hierarchy, machine } }: World): void {
  assertInvariants(machine.memcgs, memcgInvariants);
  assertInvariants(hierarchy, cgroupInvariants);
  for (const member of machine.vm.processes)
    if (member.mm)
      bugOn(
        machine.memcgs.ofMm(member.mm) !== hierarchy.effectiveCss(hierarchy.cgroupOf(member), 0),
        `process ${member.pid} is in ${hierarchy.cgroupOf(member).path} and charged elsewhere`,
      );
}

function theEnd(here: World): void {
  const { hierarchy, machine, cat } = here.files;
  assertInvariants(machine.memcgs, memcgInvariants);
  for (const member of machine.vm.processes) run(exitProcess(member));
  for (const cgroup of [...hierarchy.root.subtree()].toReversed()) if (cgroup.parent) hierarchy.rmdir(cgroup);
  expect(cat("/cgroup.stat")).toBe("nr_descendants 0\nnr_dying_descendants 0\n");
  expect([...machine.memcgs.root.children()]).toEqual([]);
}

for (const [name, body] of Object.entries(PATHS)) {
  test(`${name}, beside somebody who changes the tree`, { timeout: 36_000_000 }, () => {
    expect(runRivals(scenario(body), PLAN).steps).toBeGreaterThan(0);
  });
}
