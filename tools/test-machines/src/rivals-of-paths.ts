// Memory paths of a process beside a rival that takes away their pages. Each path runs under many schedules, and the
// seed also chooses the rival. After the steps the counters agree with the page tables and notifiers were called for
// every change; at the end all memory is free. rivalsPlan() in @hetmem/explore says how often the tests run and how a
// failure is replayed.
import { byTurns, onlyNamed, rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, nodeId, type Sleeps } from "@hetmem/kernel";
import { MbindFlag, movePages } from "@hetmem/migrate";
import { exitProcess, forkProcess, Madv, mprotect, munmap, Prot, vmInvariants } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { coverageInvariants, watchCoverage } from "@hetmem/mmu-notifier";
import { expect, test } from "vitest";
import {
  ANON,
  anyArea,
  endOfWorld,
  PAGES,
  type RivalWorld,
  rivalMachine,
  rivalWorld,
  SHMEM,
  writeAndCheck,
} from "./rival-world.ts";
import { FIRST_BLOCK } from "./hotplug-vm-machine.ts";
import { mmOf, PAGE, pageAt } from "./vm-machine.ts";

const PLAN = rivalsPlan(process.env);
const STEP_INVARIANTS = [...vmInvariants, ...coverageInvariants];

/** The body of one task. */
export type Body = (world: RivalWorld) => Sleeps<unknown>;

const OFFLINE = "offline";

/** The rivals by name. */
const RIVALS: Readonly<Record<string, Body>> = {
  *munmap(world) {
    yield* munmap(mmOf(world.parent), pageAt(anyArea(world), 1), 2 * PAGE);
  },
  *mprotect(world) {
    const area = anyArea(world);
    yield* mprotect(mmOf(world.parent), pageAt(area, 1), 2 * PAGE, Prot.NONE);
    yield* mprotect(mmOf(world.parent), pageAt(area, 1), 2 * PAGE, Prot.READ | Prot.WRITE);
  },
  *fork(world) {
    const grandchild = yield* forkProcess(world.child);
    yield* writeAndCheck(grandchild, anyArea(world), 77);
    yield* exitProcess(grandchild);
  },
  *exit({ child }) {
    yield* exitProcess(child);
  },
  *reclaim({ parent, random }) {
    for (let round = 0; round < 2; round++)
      yield* madvise(mmOf(parent), random.chance(1, 2) ? ANON : SHMEM, PAGES * PAGE, Madv.PAGEOUT);
  },
  *migration(world) {
    const { child, random } = world;
    const area = anyArea(world);
    const addresses = Array.from({ length: PAGES }, (_, i) => pageAt(area, i));
    const nodes = addresses.map(() => nodeId(random.below(2)));
    yield* movePages(child, addresses, nodes, [], MbindFlag.MOVE_ALL);
  },
  *[OFFLINE]({ machine }) {
    yield* machine.offlineTask(FIRST_BLOCK);
    yield* machine.onlineTask(FIRST_BLOCK);
  },
};

/**
 * Defines one test for each path, in which the rivals take turns.
 *
 * @param endings by path: errnos with which the path or its rivals may end in some schedules
 */
export function testPaths(
  paths: Readonly<Record<string, Body>>,
  endings: Readonly<Record<string, readonly string[]>> = {},
): void {
  onlyNamed(paths, Object.keys(endings));
  for (const [name, body] of Object.entries(paths)) {
    test(`${name} survives whoever takes its pages away`, { timeout: 36_000_000 }, () => {
      expect(runRivals(scenario(body), PLAN, endings[name]).steps).toBeGreaterThan(0);
    });
  }
}

function scenario(body: Body): (seed: number) => Scenario {
  return (seed) => {
    const machine = rivalMachine();
    const [name, rival] = byTurns(RIVALS, seed);
    // Beside offlining most pages of the world lie in a block of movable memory. The other rivals need none.
    if (name === OFFLINE) machine.plug(0);
    const world = rivalWorld(machine, seed);
    const { vm } = world.machine;
    watchCoverage(vm);
    let steps = 0;
    return {
      kernel: world.machine.kernel,
      tasks: { path: () => body(world), [name]: () => rival(world) },
      // One schedule in six is checked after every step, the others after every third: a check costs as much as many
      // steps.
      afterStep: () => {
        if (seed % 6 === 0 || steps++ % 3 === 0) assertInvariants(vm, STEP_INVARIANTS);
      },
      afterwards: () => {
        assertInvariants(vm, vmInvariants);
        endOfWorld(world);
        assertInvariants(vm, vmInvariants);
        expect(world.machine.freePages()).toBe(world.freeAtStart);
      },
    };
  };
}
