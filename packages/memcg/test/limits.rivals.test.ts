// What limits do, beside somebody who removes cgroups, changes limits, moves the process or ends it. Each path runs under
// many schedules; the seed also says who the rival is. Counters agree with what is charged all the time, and in the end
// nothing is charged, and no cgroup is left that was removed.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { byTurns, rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, condResched, KernelError, MiB, Random, run, type Sleeps } from "@hetmem/kernel";
import { exitProcess, type Process, vmInvariants } from "@hetmem/mm";
import { swapInvariants } from "@hetmem/reclaim";
import { expect, test } from "vitest";
import { memcgInvariants } from "../src/invariants.ts";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import { PAGE_COUNTER_MAX } from "../src/page-counter.ts";
import { type LimitsMachine, limitsMachine, touchPages } from "@hetmem/test-machines/limits-machine";

const PLAN = rivalsPlan(process.env, 2);
/** The same paths meet other rivals in hierarchy.rivals.test.ts: the two share their schedules. */
/** More than the limits below leave room for. */
const PAGES = 16;
const LIMIT = 20;

interface World {
  readonly machine: LimitsMachine;
  readonly random: Random;
  /** Has `a` and `b` below it, with a process in each. */
  readonly web: MemoryCgroup;
  readonly a: MemoryCgroup;
  readonly b: MemoryCgroup;
  readonly hog: Process;
  readonly neighbour: Process;
}

type Body = (world: World) => Sleeps<unknown>;

function world(seed: number): World {
  const random = new Random(seed);
  const machine = limitsMachine({ nodes: [4 * MiB], swap: (random.chance(1, 2) ? 24 : 10) * 4096 });
  const { memcgs } = machine;
  const web = memcgs.create(memcgs.root, "web");
  const [a, b] = [memcgs.create(web, "a"), memcgs.create(web, "b")];
  const [hog, neighbour] = [machine.spawn(a, "hog"), machine.spawn(b, "neighbour")];
  machine.fill(neighbour, 4);
  return { machine, random, web, a, b, hog, neighbour };
}

/** Takes all that it can get, and ends when it is killed. */
function* take(machine: LimitsMachine, owner: Process): Sleeps<void> {
  if (!owner.mm) return;
  const start = machine.map(owner, PAGES);
  yield* touchPages(owner, start, PAGES);
  if (owner.killed) yield* exitProcess(owner);
}

const PATHS: Readonly<Record<string, Body>> = {
  *"a charge at memory.max"({ machine, web, hog }) {
    web.memory.max = LIMIT;
    yield* take(machine, hog);
  },
  *"a charge at memory.max of a cgroup whose kill takes all"({ machine, web, a, hog }) {
    a.oomGroup = true;
    web.memory.max = LIMIT;
    yield* take(machine, hog);
  },
  *"a process above memory.high"({ machine, web, hog }) {
    web.memory.high = LIMIT;
    yield* take(machine, hog);
  },
  *"a lowered memory.max"({ machine, web, hog }) {
    yield* take(machine, hog);
    yield* machine.limits.setMax(web, 8, undefined);
    if (hog.killed) yield* exitProcess(hog);
  },
  *"a write to memory.reclaim"({ machine, web, hog }) {
    yield* take(machine, hog);
    yield* untilAgain(machine.limits.reclaim(web, 8, hog));
  },
};

const RIVALS: Readonly<Record<string, Body>> = {
  *removal({ machine: { memcgs }, b, neighbour }) {
    yield* exitProcess(neighbour);
    yield condResched;
    memcgs.offline(b);
  },
  *"a removal that leaves pages"({ machine: { memcgs }, web, b, neighbour }) {
    if (neighbour.mm) memcgs.attach(neighbour.mm, web);
    memcgs.offline(b);
    yield condResched;
    const again = memcgs.create(web, "b");
    yield condResched;
    memcgs.offline(again);
  },
  *"limits that change"({ machine: { limits }, random, web, a }) {
    for (let round = 0; round < 2; round++) {
      yield* limits.setMax(web, random.chance(1, 2) ? PAGE_COUNTER_MAX : LIMIT + random.below(10), undefined);
      yield* limits.setHigh(a, random.chance(1, 2) ? PAGE_COUNTER_MAX : random.below(LIMIT), undefined);
    }
  },
  *"protection that changes"({ random, a, b }) {
    for (let round = 0; round < 6; round++) {
      a.memory.setMin(random.below(12));
      b.memory.setLow(random.below(12));
      yield condResched;
    }
  },
  *"a move of the process"({ machine: { memcgs }, random, web, b, hog }) {
    for (const to of [b, web, b]) {
      yield condResched;
      if (hog.mm && random.chance(2, 3)) memcgs.attach(hog.mm, to);
    }
  },
  *"the end of the process"({ hog }) {
    for (let i = 0; i < 5; i++) yield condResched;
    hog.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: 0 as never, reason: "the rival ends it" });
  },
  *"another reclaim"({ machine: { limits }, web, b }) {
    yield* untilAgain(limits.reclaim(web, 4, undefined));
    yield* untilAgain(limits.reclaim(b, 2, undefined));
  },
};

/** That there is no more to be had is no failure. */
function* untilAgain(task: Sleeps<void>): Sleeps<void> {
  try {
    yield* task;
  } catch (error) {
    if (!(error instanceof KernelError) || !["EAGAIN", "EINTR"].includes(error.errno)) throw error;
  }
}

function scenario(body: Body): (seed: number) => Scenario {
  return (seed) => {
    const here = world(seed);
    const { machine, web } = here;
    const { memcgs, vm } = machine;
    const [name, rival] = byTurns(RIVALS, seed);
    let steps = 0;
    return {
      kernel: vm.kernel,
      tasks: { path: () => body(here), [name]: () => rival(here) },
      // Reclaim has very many steps: every one is looked at in one schedule of eight, every eighth of the others.
      afterStep: () => {
        if (seed % 8 === 0 || steps++ % 8 === 0) assertInvariants(memcgs, memcgInvariants);
      },
      afterwards: () => {
        assertInvariants(memcgs, memcgInvariants);
        if (seed % 8 === 0) assertInvariants(vm, [...vmInvariants, ...swapInvariants]);
        for (const left of vm.processes) run(exitProcess(left));
        memcgs.stocks.drainAll(memcgs.root);
        expect([web.memory.usage, web.swap.usage, web.kmem.usage]).toEqual([0, 0, 0]);
        expect([...web.subtree()].every(({ online }) => online)).toBe(true);
      },
    };
  };
}

for (const [name, body] of Object.entries(PATHS)) {
  test(
    `${name} survives whoever changes the hierarchy, its limits or its processes`,
    { timeout: 36_000_000 },
    () => {
      expect(runRivals(scenario(body), PLAN).steps).toBeGreaterThan(0);
    },
  );
}
