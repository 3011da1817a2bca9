// Charges beside somebody who removes the cgroup, moves the task, changes the limit, or carries the pages to a device and
// back. Each path runs under many schedules; the seed also says who the rival is. After each step every counter is the
// sum of what is charged, and in the end nothing is left of any.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { byTurns, rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import {
  assertInvariants,
  condResched,
  type Kernel,
  MiB,
  Random,
  run,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { exitProcess, forkProcess, Madv, type Process, type Vm } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { fileRead, fileWrite, memfdCreate, type OpenFile, truncate } from "@hetmem/page-cache";
import { swapoff, swapSpace } from "@hetmem/reclaim";
import { expect, test } from "vitest";
import { BASE, migrateMachine, TestDevice } from "@hetmem/test-machines/migrate-machine";
import { memcgInvariants } from "../src/invariants.ts";
import { chargeKernel, chargeSocket, unchargeKernel, unchargeSocket } from "../src/kernel-memory.ts";
import { Limits } from "../src/limits/limits.ts";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import { MemoryCgroups } from "../src/memory-cgroups.ts";
import { limitsMachine, touchPages } from "@hetmem/test-machines/limits-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const PLAN = rivalsPlan(process.env);
const PAGES = 6;

interface World {
  readonly kernel: Kernel;
  readonly vm: Vm;
  readonly memcgs: MemoryCgroups;
  readonly limits: Limits;
  /** Where a device is among the rivals; most schedules do without, since it takes long to set up. */
  readonly device: TestDevice | undefined;
  readonly random: Random;
  /** Below `above`; the task begins in it. */
  readonly cgroup: MemoryCgroup;
  readonly above: MemoryCgroup;
  readonly task: Process;
  readonly start: VirtAddr;
  readonly memfd: OpenFile;
}

/** The same one for the same seed: some pages in memory, some in swap, and some on the device if there is one. */
function world(seed: number, withDevice: boolean): World {
  const made = withDevice ? deviceWorld() : plainWorld();
  const { vm, memcgs, task, start, device } = made;
  swapSpace(vm).swapon({ path: "/dev/swap", size: 40 * PAGE });
  const above = memcgs.create(memcgs.root, "above");
  const cgroup = memcgs.create(above, "cgroup");
  memcgs.attach(mmOf(task), cgroup);
  const memfd = memfdCreate(vm, "rival", 0);
  run(touchPages(task, start, PAGES));
  run(madvise(mmOf(task), start, 2 * PAGE, Madv.PAGEOUT));
  if (device) run(device.migrateTo(mmOf(task), pageAt(start, 2), 2));
  return { ...made, random: new Random(seed), cgroup, above, memfd };
}

function plainWorld(): Omit<World, "random" | "cgroup" | "above" | "memfd"> {
  const { memory, vm, memcgs, limits, spawn, map } = limitsMachine({ nodes: [4 * MiB] });
  const task = spawn(memcgs.root);
  return { kernel: memory.kernel, vm, memcgs, limits, device: undefined, task, start: map(task, PAGES + 2) };
}

function deviceWorld(): Omit<World, "random" | "cgroup" | "above" | "memfd"> {
  let memcgs: MemoryCgroups | undefined;
  const machine = migrateMachine({
    ram: 4 * MiB,
    charging: (memory) => (memcgs = new MemoryCgroups(memory)).charging,
  });
  if (!memcgs) throw new Error("the machine asked for nobody to charge");
  const device = new TestDevice(machine, { pages: 8 });
  device.pause = pause;
  const { kernel, vm } = machine;
  return {
    kernel,
    vm,
    memcgs,
    limits: new Limits(memcgs),
    device,
    task: machine.spawn(PAGES + 2),
    start: BASE,
  };
}

type Body = (world: World) => Sleeps<unknown>;

/** Tasks that charge, uncharge, or move a charge. */
const PATHS: Readonly<Record<string, Body>> = {
  *"a fault"({ task, start }) {
    yield* touchPages(task, pageAt(start, PAGES), 2);
  },
  *"a page that comes back from swap or from the device"({ task, start }) {
    yield* touchPages(task, start, PAGES);
  },
  *"a fork"({ task, start }) {
    const child = yield* forkProcess(task);
    yield* touchPages(child, start, PAGES);
    yield* exitProcess(child);
  },
  *"a page that goes to swap"({ task, start }) {
    yield* madvise(mmOf(task), start, PAGES * PAGE, Madv.PAGEOUT);
    yield* touchPages(task, start, 1);
  },
  *"a write to a file"({ task, memfd }) {
    yield* fileWrite(memfd, 0, new Uint8Array(3 * PAGE).fill(1), task.mm);
    yield* fileRead(memfd, 0, 3 * PAGE, task.mm);
    yield* truncate(memfd.host, PAGE, task.mm);
  },
  *"a charge of the kernel"({ memcgs, cgroup }) {
    const object = yield* chargeKernel(memcgs, cgroup, 5000);
    yield condResched;
    const sockets = yield* chargeSocket(memcgs, cgroup, 3);
    yield condResched;
    if (object) unchargeKernel(memcgs, object);
    if (sockets) unchargeSocket(memcgs, cgroup, 3);
  },
  *"an exit"({ task, start }) {
    yield* touchPages(task, start, 2);
    yield* exitProcess(task);
  },
};

const RIVALS: Readonly<Record<string, Body>> = {
  *removal({ memcgs, cgroup, above, random }) {
    for (const mm of memcgs.vm.addressSpaces)
      if (memcgs.ofMm(mm) === cgroup) memcgs.attach(mm, random.chance(1, 2) ? above : memcgs.root);
    memcgs.offline(cgroup);
    yield condResched;
  },
  *move({ memcgs, task, cgroup, above }) {
    for (const to of [above, memcgs.root, cgroup]) {
      if (task.mm) memcgs.attach(task.mm, to);
      yield condResched;
    }
  },
  *limit({ limits, cgroup, above, random }) {
    const whose = random.chance(1, 2) ? cgroup : above;
    yield* limits.setMax(whose, whose.memory.usage - random.below(4), undefined);
    yield condResched;
    yield* limits.setMax(whose, 1000, undefined);
  },
  *"no swap"({ cgroup }) {
    cgroup.swap.max = cgroup.swap.usage;
    yield condResched;
    cgroup.swap.max = 1000;
  },
  *device({ device, task, random, start }) {
    const at = random.below(4);
    if (task.mm && device) yield* device.migrateTo(task.mm, pageAt(start, at), 3);
    yield condResched;
    if (task.mm && device) yield* device.migrateBack(task.mm, start, PAGES);
  },
};

for (const [name, body] of Object.entries(PATHS)) {
  test(`${name} is charged once, whoever interferes`, { timeout: 36_000_000 }, () => {
    expect(runRivals(scenario(body), PLAN).steps).toBeGreaterThan(0);
  });
}

function scenario(body: Body): (seed: number) => Scenario {
  return (seed) => {
    const [name, rival] = byTurns(RIVALS, seed);
    const made = world(seed, name === "device");
    const { memcgs, kernel } = made;
    return {
      kernel,
      tasks: { path: () => body(made), [name]: () => rival(made) },
      afterStep: () => assertInvariants(memcgs, memcgInvariants),
      afterwards: () => {
        endOfWorld(made);
        assertInvariants(memcgs, memcgInvariants);
        const { root } = memcgs;
        expect([root.memory.usage, root.swap.usage, root.kmem.usage]).toEqual([0, 0, 0]);
        expect(root.firstChild?.path).toBeUndefined();
      },
    };
  };
}

function endOfWorld({ vm, memcgs, memfd, cgroup, above }: World): void {
  for (const process of vm.processes) run(exitProcess(process));
  run(truncate(memfd.host, 0));
  run(memfd.close());
  run(swapoff(vm, "/dev/swap"));
  for (const left of [cgroup, above]) if (left.online) memcgs.offline(left);
}

function pageAt(start: VirtAddr, page: number): VirtAddr {
  return (start + page * PAGE) as VirtAddr;
}

function* pause(): Sleeps<void> {
  yield condResched;
}
