// Blocks go offline and come back under processes that fill memory, fork, exit, pin, move and lose pages. Whatever the
// order, nobody reads anything but what was written, and nothing is lost or gained.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { pinUserPages, unpinUserPages } from "@hetmem/gup";
import { assertInvariants, condResched, MiB, nodeId, Random, run, type Sleeps } from "@hetmem/kernel";
import { exitProcess, forkProcess, type Process, readUser, vmInvariants } from "@hetmem/mm";
import { hotplugVmMachine, type HotplugVmMachine } from "@hetmem/test-machines/hotplug-vm-machine";
import { checkTask, fill, fillTask, map, pageBehind } from "@hetmem/test-machines/placed-memory";
import { mmOf, pageAt } from "@hetmem/test-machines/vm-machine";
import { quickInvariants } from "@hetmem/zone";
import { expect, test } from "vitest";
import { mbind } from "../src/mbind.ts";
import { movePages } from "../src/move-pages.ts";
import { scanForHints } from "../src/numa-balancing.ts";
import { MbindFlag } from "../src/queue-pages.ts";

/** The eight cases are about one path: a quarter of its schedules each is enough to see every ending. */
const PLAN = rivalsPlan(process.env, 4);
const PAGES = 6;

/** A process with memory in a block that may go. */
interface World {
  readonly machine: HotplugVmMachine;
  readonly random: Random;
  readonly id: number;
  readonly process: Process;
  readonly start: ReturnType<typeof map>;
}

function worldOf(seed: number): World {
  const nodes = [
    { size: 8 * MiB, cpus: [0] },
    { size: 8 * MiB, cpus: [1] },
  ];
  const machine = hotplugVmMachine({ nodes, room: 1 });
  const id = machine.plug(0);
  const process = machine.spawn("parent");
  const start = map(process, PAGES);
  fill(process, start, PAGES);
  return { machine, random: new Random(seed), id, process, start };
}

/** Takes the block offline and back. */
function* admin({ machine, id }: World): Sleeps<void> {
  yield* machine.offlineTask(id);
  yield* machine.onlineTask(id);
}

/** Writes, waits and reads, over and over. */
function* user({ process, start }: World): Sleeps<void> {
  for (let round = 0; round < 3; round++) {
    yield* fillTask(process, start, PAGES);
    yield condResched;
    yield* checkTask(process, start, PAGES);
  }
}

/** A child that reads what its parent wrote, writes its own, and ends. */
function* family({ process, start }: World): Sleeps<void> {
  for (let round = 0; round < 2; round++) {
    const child = yield* forkProcess(process);
    yield* checkTask(child, start, PAGES, process);
    yield* fillTask(child, start, 2);
    yield* checkTask(child, start, 2);
    yield* exitProcess(child);
  }
}

function* exiting({ machine, process, start }: World): Sleeps<void> {
  const child = yield* forkProcess(process);
  yield* exitProcess(process);
  yield* checkTask(child, start, PAGES, process);
  yield* exitProcess(child);
  if (machine.vm.addressSpaces.size > 0) throw new Error("an address space outlived its process");
}

function* pinner({ machine, random, process, start }: World): Sleeps<void> {
  for (let round = 0; round < 3; round++) {
    yield condResched;
    const { mmapLock } = mmOf(process);
    yield* mmapLock.downRead();
    const pages = yield* pinUserPages(mmOf(process), pageAt(start, random.below(PAGES)), 1, { write: true });
    mmapLock.upRead();
    for (let i = random.below(120); i > 0; i--) yield condResched;
    unpinUserPages(machine.vm, pages);
  }
}

/** Policies and wishes send pages from node to node. */
function* mover({ process, random, start }: World): Sleeps<void> {
  for (let round = 0; round < 3; round++) {
    const node = nodeId(random.below(2));
    if (random.chance(1, 2)) {
      yield* mbind(mmOf(process), start, 3 * 4096, { mode: "preferred", nodes: [node] }, MbindFlag.MOVE);
    } else {
      yield* movePages(process, [pageAt(start, 1), pageAt(start, 4)], [node, node], [], MbindFlag.MOVE_ALL);
    }
  }
}

function* balancer({ process, random }: World): Sleeps<void> {
  for (let round = 0; round < 4; round++) {
    mmOf(process).node = nodeId(random.below(2));
    yield* scanForHints(mmOf(process), 512);
    yield condResched;
  }
}

/** Pages fail under their users, softly or hard. */
function* faulty({ machine, process, random, start }: World): Sleeps<void> {
  const page = pageBehind(process, pageAt(start, random.below(PAGES)));
  const frame = machine.memory.memmap.pageToPfn(page);
  yield* random.chance(1, 2) ? machine.failure.softOffline(frame) : machine.failure.hardOffline(frame);
}

/** Reads until memory fails under it: SIGBUS for that page, and what was written for the others. */
function* careful({ process, start }: World): Sleeps<void> {
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < PAGES; i++) {
      const bytes = new Uint8Array(8);
      const signal = yield* readUser(process, pageAt(start, i), bytes);
      if (signal && signal.code !== "BUS_MCEERR_AR") throw new Error(`${signal.signo}: ${signal.reason}`);
      if (!signal && bytes[4] !== i + 1) throw new Error(`page ${i} lost what was written`);
    }
  }
}

type Body = (world: World) => Sleeps<unknown>;

function scenario(bodies: Readonly<Record<string, Body>>): (seed: number) => Scenario {
  return (seed) => {
    const world = worldOf(seed);
    const { machine } = world;
    const tasks = Object.entries(bodies).map(([name, body]) => [name, () => body(world)] as const);
    return {
      kernel: machine.kernel,
      tasks: Object.fromEntries(tasks),
      afterStep: () => assertInvariants(machine.memory, quickInvariants),
      afterwards: () => {
        assertInvariants(machine.vm, vmInvariants);
        for (const left of machine.vm.processes) run(exitProcess(left));
        assertInvariants(machine.vm, vmInvariants);
      },
    };
  };
}

const cases: Readonly<
  Record<string, readonly [bodies: Readonly<Record<string, Body>>, endings: readonly string[]]>
> = {
  "a process writes and reads while its block goes offline and comes back": [
    { admin, user },
    ["admin: done", "user: done"],
  ],
  "a process forks, and its children write and exit, while the block goes": [
    { admin, family },
    ["admin: done", "family: done"],
  ],
  "the process ends while its pages are on their way": [{ admin, exiting }, ["admin: done", "exiting: done"]],
  "two administrators want the block offline under a process that writes": [
    { admin, other: admin, user },
    ["admin: done", "other: done", "user: done"],
  ],
  "pages are pinned for a while: either the block waits long enough, or it stays": [
    { admin, pinner, user },
    ["admin: done", "admin: EBUSY", "pinner: done", "user: done"],
  ],
  "policies move pages from node to node while the block goes": [
    { admin, mover, user },
    ["admin: done", "mover: done", "user: done"],
  ],
  "NUMA balancing moves pages to whoever uses them while the block goes": [
    { admin, balancer, user },
    ["admin: done", "balancer: done", "user: done"],
  ],
  "a page of the process fails while the block goes": [
    { admin, faulty, careful },
    ["admin: done", "faulty: done", "careful: done"],
  ],
};

for (const [name, [bodies, endings]] of Object.entries(cases)) {
  test(name, { timeout: 3_600_000 }, () => {
    expect(runRivals(scenario(bodies), PLAN, endings).steps).toBeGreaterThan(0);
  });
}
