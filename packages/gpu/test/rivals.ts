// Paths of a device beside somebody who takes away what they work on: a process with written memory, a child that shares it,
// a device that mirrors both and has too little memory for all, and swap. After each step the device's
// tables agree with the cpu's, and every count with every table; in the end nothing is left.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { byTurns, onlyNamed, rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, condResched, Random, run, type Sleeps } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  Madv,
  munmap,
  type Process,
  readUser,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { coverageInvariants } from "@hetmem/mmu-notifier";
import { swapSpace } from "@hetmem/reclaim";
import { expect, test } from "vitest";
import { type Gpu, type GpuContext, gpuInvariants } from "../src/index.ts";
import {
  at,
  BASE,
  type GpuMachine,
  gpuMachine,
  type GpuMachineOptions,
  mapAnon,
} from "@hetmem/test-machines/gpu-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const PLAN = rivalsPlan(process.env);

/** Pages of the process; each device has room for three. */
export const PAGES = 4;

export interface GpuWorld {
  readonly machine: GpuMachine;
  readonly random: Random;
  readonly parent: Process;
  readonly child: Process;
  readonly gpu: Gpu;
  /** Each process's memory on the device. */
  readonly context: GpuContext;
  readonly childContext: GpuContext;
  readonly freeAtStart: number;
}

export type Body = (world: GpuWorld) => Sleeps<unknown>;

const MOST_DELAY = 24;

/** Byte 0 of a page. */
export function firstByte(page: number): number {
  return page + 1;
}

function newMachine(options: GpuMachineOptions): GpuMachine {
  const machine = gpuMachine({ pages: 3, ram: 4 * 2 ** 20, small: true, ...options });
  swapSpace(machine.vm).swapon({ path: "/dev/swap", size: 2 ** 20 });
  return machine;
}

function gpuWorld(machine: GpuMachine, seed: number): GpuWorld {
  const { gpu } = machine;
  const freeAtStart = machine.freePages();
  const parent = machine.spawn("parent");
  mapAnon(parent, PAGES);
  for (let i = 0; i < PAGES; i++) run(writeUser(parent, at(i), Uint8Array.of(firstByte(i))));
  const child = run(forkProcess(parent));
  const context = machine.open(parent);
  run(context.migrateTo(BASE, 2 * PAGE));
  const childContext = machine.open(child);
  return {
    machine,
    random: new Random(seed),
    parent,
    child,
    gpu,
    context,
    childContext,
    freeAtStart,
  };
}

/** The one rival that needs two of them: a device costs as much as the rest of the machine. */
const SECOND_DEVICE = "a second device";
const DEATH = "the device's death";

/** Who takes what away. */
const RIVALS: Readonly<Record<string, Body>> = {
  *"a touch of the cpu"({ parent, child, random }) {
    for (let i = 0; i < 3; i++)
      yield* readUser(random.pick([parent, child]), at(random.below(PAGES)), new Uint8Array(1));
  },
  *"a write of the cpu"({ parent, random }) {
    for (let i = 0; i < 3; i++) {
      const page = random.below(PAGES);
      yield* writeUser(parent, at(page), Uint8Array.of(firstByte(page)));
    }
  },
  *munmap({ parent, random }) {
    yield* munmap(mmOf(parent), at(random.below(2)), 2 * PAGE);
  },
  *MADV_DONTNEED({ parent, random }) {
    yield* madvise(mmOf(parent), at(random.below(2)), 2 * PAGE, Madv.DONTNEED);
  },
  *pageout({ parent }) {
    yield* madvise(mmOf(parent), BASE, PAGES * PAGE, Madv.PAGEOUT);
  },
  *fork({ parent }) {
    const grandchild = yield* forkProcess(parent);
    yield* readUser(grandchild, at(0), new Uint8Array(1));
    yield* exitProcess(grandchild);
  },
  *"exit of the child"({ child }) {
    yield* exitProcess(child);
  },
  *"exit of the parent"({ parent }) {
    yield* exitProcess(parent);
  },
  *eviction({ gpu }) {
    yield* gpu.evict(2);
  },
  *"a reset"({ gpu }) {
    yield condResched;
    yield* gpu.reset();
  },
  *[DEATH]({ gpu }) {
    for (let i = 0; i < 6; i++) yield condResched;
    gpu.fallOff();
  },
  *[SECOND_DEVICE]({ machine, parent, random }) {
    const context = yield* (machine.gpus[1] as Gpu).open(mmOf(parent));
    yield* context.read(at(random.below(PAGES)), new Uint8Array(1));
    yield* context.migrateTo(at(random.below(PAGES)), PAGE);
    yield* context.atomicAdd(at(0, 8), 1);
  },
  *"a second mirror"({ gpu, child, childContext, random }) {
    const mirror = yield* gpu.open(mmOf(child));
    yield* mirror.write(at(random.below(PAGES), 16), Uint8Array.of(1));
    yield* mirror.close();
    yield* childContext.migrateTo(at(1), 2 * PAGE);
  },
  *"memory that goes"({ gpu }) {
    yield* gpu.releaseMemory();
  },
};

/**
 * One test for each path, which the rivals take turns at.
 *
 * @param endings by path: how it and its rivals end beside success, in some schedules
 */
export function testPaths(
  paths: Readonly<Record<string, Body>>,
  options: GpuMachineOptions = {},
  endings: Readonly<Record<string, readonly string[]>> = {},
): void {
  onlyNamed(paths, Object.keys(endings));
  for (const [name, body] of Object.entries(paths)) {
    test(`${name} survives whoever takes its pages away`, { timeout: 36_000_000 }, () => {
      expect(runRivals(scenario(body, RIVALS, options), PLAN, endings[name]).steps).toBeGreaterThan(0);
    });
  }
}

/** A race that is too narrow to be met where the rivals take turns: one path and one rival. */
export function testRace(name: string, body: Body, against: string): void {
  test(`${name} survives ${against}`, { timeout: 36_000_000 }, () => {
    const rivals = onlyNamed(RIVALS, [against]);
    expect(runRivals(scenario(body, rivals, {}), PLAN).steps).toBeGreaterThan(0);
  });
}

function scenario(
  body: Body,
  rivals: Readonly<Record<string, Body>>,
  options: GpuMachineOptions,
): (seed: number) => Scenario {
  return (seed) => {
    const [name, rival] = byTurns(rivals, seed);
    const world = gpuWorld(newMachine({ gpus: name === SECOND_DEVICE ? 2 : 1, ...options }), seed);
    const { vm, kernel } = world.machine;
    let steps = 0;
    return {
      kernel,
      tasks: { path: () => body(world), [name]: () => afterAWhile(world, rival) },
      // What a device reaches is looked at after every step; all counts, which takes longer, after every third.
      afterStep: () => {
        for (const gpu of world.machine.gpus) assertInvariants(gpu, gpuInvariants);
        assertInvariants(
          vm,
          steps++ % 3 === 0 ? [...vmInvariants, ...coverageInvariants] : coverageInvariants,
        );
      },
      afterwards: () => {
        expectContents(world);
        endOfWorld(world);
      },
    };
  };
}

/** Paths are long, and what breaks them is short: it comes at any of their steps. */
function* afterAWhile(world: GpuWorld, rival: Body): Sleeps<void> {
  for (let steps = world.random.below(MOST_DELAY); steps > 0; steps--) yield condResched;
  yield* rival(world);
}

/** Whatever happened, a page reads as it was written, as zeros where it was given up, as ones where nobody answers, or not at all. */
function expectContents({ parent, child, gpu }: GpuWorld): void {
  for (const owner of [parent, child]) {
    for (let page = 0; page < PAGES && owner.mm; page++) {
      const into = new Uint8Array(1);
      const signal = run(readUser(owner, at(page), into));
      if (signal || into[0] === firstByte(page) || into[0] === 0) continue;
      if (gpu.state === "dead" && into[0] === 0xff) continue;
      throw new Error(`page ${page} of ${owner.comm} reads ${into[0]}, and ${firstByte(page)} was written`);
    }
  }
}

function endOfWorld({ machine, freeAtStart }: GpuWorld): void {
  const { vm } = machine;
  for (const left of vm.processes) run(exitProcess(left));
  for (const gpu of machine.gpus) {
    for (const context of gpu.contexts) run(context.close());
    expect(gpu.memory.usedPages).toBe(0);
    expect(outcome(() => run(gpu.memory.plug()))).toBe("done");
  }
  assertInvariants(vm, vmInvariants);
  expect(machine.freePages()).toBe(freeAtStart);
}
