// Pages go to a device and come back beside somebody who removes the cgroup that pays for them, and then the one above it.
// After each step every counter is the sum of what is charged, and no page of the device is a removed cgroup's.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { byTurns, rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, condResched, MiB, Random, run, type Sleeps } from "@hetmem/kernel";
import { exitProcess, type Process, touchUser } from "@hetmem/mm";
import { expect, test } from "vitest";
import {
  BASE,
  migrateMachine,
  type MigrateMachine,
  pageAt,
  TestDevice,
  write,
} from "@hetmem/test-machines/migrate-machine";
import { memcgInvariants } from "../src/invariants.ts";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import { MemoryCgroups } from "../src/memory-cgroups.ts";
import { mmOf } from "@hetmem/test-machines/vm-machine";

const PLAN = rivalsPlan(process.env);
const PAGES = 6;

interface World {
  readonly machine: MigrateMachine;
  readonly memcgs: MemoryCgroups;
  readonly device: TestDevice;
  readonly random: Random;
  /** Has `cgroup` below it, which has paid for all that is there at first. */
  readonly above: MemoryCgroup;
  readonly cgroup: MemoryCgroup;
  readonly task: Process;
}

type Body = (world: World) => Sleeps<unknown>;

/** Two pages in RAM, two on the device, and two holes. */
function world(seed: number): World {
  let memcgs: MemoryCgroups | undefined;
  const machine = migrateMachine({
    ram: 4 * MiB,
    charging: (memory) => (memcgs = new MemoryCgroups(memory)).charging,
  });
  if (!memcgs) throw new Error("the machine asked for nobody to charge");
  const device = new TestDevice(machine, { pages: 2 * PAGES });
  const above = memcgs.create(memcgs.root, "above");
  const cgroup = memcgs.create(above, "cgroup");
  const task = machine.spawn(PAGES);
  memcgs.attach(mmOf(task), cgroup);
  for (let i = 0; i < 4; i++) write(task, i, i);
  run(device.migrateTo(mmOf(task), BASE, 2));
  device.pause = function* () {
    yield condResched;
  };
  return { machine, memcgs, device, random: new Random(seed), above, cgroup, task };
}

const PATHS: Readonly<Record<string, Body>> = {
  *"to the device"({ device, task }) {
    yield* device.migrateTo(mmOf(task), BASE, PAGES);
  },
  *"back from it, page by page, and there again"({ device, task, random }) {
    for (let i = 0; i < PAGES; i++) yield* touchUser(task, pageAt(random.below(PAGES)));
    yield* device.migrateTo(mmOf(task), BASE, PAGES);
  },
  *"to the device, and to its end there"({ device, task }) {
    yield* device.migrateTo(mmOf(task), BASE, PAGES);
    yield* exitProcess(task);
  },
};

function* removal({ memcgs, above, cgroup, task, random }: World): Sleeps<void> {
  if (task.mm) memcgs.attach(task.mm, random.chance(1, 2) ? above : memcgs.root);
  memcgs.offline(cgroup);
  for (let i = random.below(4); i > 0; i--) yield condResched;
  if (task.mm) memcgs.attach(task.mm, memcgs.root);
  memcgs.offline(above);
}

function scenario(seed: number): Scenario {
  const here = world(seed);
  const { machine, memcgs } = here;
  let steps = seed;
  const [name, path] = byTurns(PATHS, seed);
  return {
    kernel: machine.kernel,
    tasks: { [name]: () => path(here), removal: () => removal(here) },
    // Every step is looked at in one schedule of three, every third one of the rest.
    afterStep() {
      if (seed % 3 === 0 || steps++ % 3 === 0) assertInvariants(memcgs, memcgInvariants);
    },
    afterwards() {
      assertInvariants(memcgs, memcgInvariants);
      for (const process of machine.vm.processes) run(exitProcess(process));
      expect([...memcgs.root.children()]).toEqual([]);
      expect([memcgs.root.memory.usage, memcgs.root.kmem.usage]).toEqual([0, 0]);
    },
  };
}

test(
  "no page of a device is left to a cgroup that is removed beside its migration",
  { timeout: 36_000_000 },
  () => {
    expect(runRivals(scenario, PLAN).steps).toBeGreaterThan(0);
  },
);
