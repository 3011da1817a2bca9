// Pages that go to a device and come back while their processes touch, unmap, forbid, share and end them, while a second
// driver moves the same pages, while the device is emptied, and while it dies. The driver sleeps between all its steps,
// and a mirror sleeps in each callback. After every step each page is found from its entries and back; in the end
// everybody has what he wrote, every page of the device came back once, and nothing is lost.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { exitAll } from "@hetmem/test-machines/exit-all";
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, condResched, KernelBug, MiB, Random, run, type Sleeps } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  mmgetNotZero,
  mmput,
  mprotect,
  munmap,
  type Process,
  Prot,
  readUser,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import { MmuNotifier, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { expect, test } from "vitest";
import {
  BASE,
  dead,
  type MigrateMachine,
  migrateMachine,
  pageAt,
  TestDevice,
} from "@hetmem/test-machines/migrate-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const CASES = 9;
const PLAN = rivalsPlan(process.env, CASES);
const PAGES = 3;

/** A parent and a child that share pages, a device, and a mirror of the parent in half of the cases. */
class World {
  readonly machine: MigrateMachine = migrateMachine({ ram: 8 * MiB });
  readonly device: TestDevice = new TestDevice(this.machine, { pages: 8 });
  readonly free: number = this.machine.freePages();
  readonly random: Random;
  readonly parent: Process;
  readonly child: Process;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.parent = this.machine.spawn(PAGES);
    for (let i = 0; i < PAGES; i++) run(this.write(this.parent, i, i + 1));
    this.child = run(forkProcess(this.parent));
    run(this.write(this.child, 1, 100));
    this.device.pause = function* () {
      yield condResched;
    };
    if (this.random.chance(1, 2))
      run(mmuNotifierRegister(new MmuNotifier(SLEEPY, undefined), mmOf(this.parent)));
    // In half of the cases some of it is on the device already.
    if (this.random.chance(1, 2)) run(this.device.migrateTo(mmOf(this.parent), BASE, 2));
  }

  *write(process: Process, n: number, byte: number): Sleeps<void> {
    const signal = yield* writeUser(process, pageAt(n), Uint8Array.of(byte));
    if (signal) throw new KernelBug(`page ${n} of ${process.pid} can't be written: ${signal.reason}`);
  }

  *expectByte(process: Process, n: number, byte: number): Sleeps<void> {
    const into = new Uint8Array(1);
    const signal = yield* readUser(process, pageAt(n), into);
    if (signal || into[0] !== byte)
      throw new KernelBug(`page ${n} of ${process.pid} is ${signal?.reason ?? into[0]}, not ${byte}`);
  }

  /** Moves the parent's pages to the device and back, and keeps its address space from ending meanwhile. */
  *mover(): Sleeps<void> {
    const { mm } = this.parent;
    if (!mm || !mmgetNotZero(mm)) return;
    for (let round = 0; round < 2; round++) {
      yield* this.device.migrateTo(mm, BASE, PAGES);
      yield condResched;
      if (this.random.chance(1, 2)) yield* this.device.migrateBack(mm, BASE, PAGES);
    }
    yield* mmput(mm);
  }

  scenario(others: Readonly<Record<string, () => Sleeps<unknown>>>, check: () => Sleeps<void>): Scenario {
    const { machine, device } = this;
    return {
      kernel: machine.kernel,
      tasks: { mover: () => this.mover(), ...others },
      afterStep: () => assertInvariants(machine.vm, vmInvariants),
      afterwards: () => {
        run(check());
        exitAll(machine, this.free);
        if (new Set(device.idle).size !== 8 || device.idle.length !== 8)
          throw new KernelBug(`the device has ${device.idle.length} of its 8 pages, or one twice`);
        machine.check();
      },
    };
  }
}

const SLEEPY = {
  *invalidateRangeStart(): Sleeps<boolean> {
    yield condResched;
    return true;
  },
  *invalidateRangeEnd(): Sleeps<void> {
    yield condResched;
  },
};

function rivals(make: (world: World) => Scenario): ReadonlyMap<string, number> {
  const { endings } = runRivals((seed) => make(new World(seed)), PLAN);
  for (const [ending, times] of endings) expect([ending, times]).not.toContain("failed");
  return endings;
}

/** What the parent and the child have, where neither wrote anything since. */
function* untouched(world: World): Sleeps<void> {
  const { parent, child } = world;
  for (let i = 0; i < PAGES; i++) {
    if (parent.mm) yield* world.expectByte(parent, i, i + 1);
    if (child.mm) yield* world.expectByte(child, i, i === 1 ? 100 : i + 1);
  }
}

test("a cpu that touches pages on their way reads what was written, and what it writes stays", () => {
  rivals((world) =>
    world.scenario(
      {
        *reader() {
          for (let i = 0; i < PAGES; i++) yield* world.expectByte(world.child, i, i === 1 ? 100 : i + 1);
        },
        *writer() {
          for (let i = 0; i < PAGES; i++) yield* world.write(world.parent, i, 50 + i);
        },
      },
      function* () {
        for (let i = 0; i < PAGES; i++) {
          yield* world.expectByte(world.parent, i, 50 + i);
          yield* world.expectByte(world.child, i, i === 1 ? 100 : i + 1);
        }
      },
    ),
  );
});

test("a mapping that goes takes its pages with it, wherever they are", () => {
  rivals((world) =>
    world.scenario({ unmap: () => munmap(mmOf(world.parent), pageAt(1), PAGE) }, function* () {
      yield* world.expectByte(world.parent, 0, 1);
      yield* world.expectByte(world.parent, 2, 3);
      yield* world.expectByte(world.child, 1, 100);
    }),
  );
});

test("a fork shares pages on the device, in RAM and on their way", () => {
  rivals((world) => {
    let grandchild: Process | undefined;
    return world.scenario(
      {
        *fork() {
          grandchild = yield* forkProcess(world.parent);
        },
      },
      function* () {
        yield* untouched(world);
        for (let i = 0; i < PAGES; i++) if (grandchild?.mm) yield* world.expectByte(grandchild, i, i + 1);
      },
    );
  });
});

test("a process that ends leaves nothing behind on the device", () => {
  rivals((world) => world.scenario({ exit: () => exitProcess(world.parent) }, () => untouched(world)));
});

test("what mprotect() forbids and allows again is not lost on the way", () => {
  rivals((world) =>
    world.scenario(
      {
        *protect() {
          yield* mprotect(mmOf(world.parent), BASE, 2 * PAGE, Prot.READ);
          yield condResched;
          yield* mprotect(mmOf(world.parent), BASE, 2 * PAGE, Prot.READ | Prot.WRITE);
          yield* world.write(world.parent, 0, 60);
        },
      },
      () => world.expectByte(world.parent, 0, 60),
    ),
  );
});

test("two drivers that move the same pages leave each page in one place", () => {
  rivals((world) => {
    const mm = mmOf(world.child);
    return world.scenario(
      {
        *second() {
          yield* world.device.migrateTo(mm, BASE, PAGES);
          yield* world.device.migrateBack(mm, BASE, PAGES);
        },
      },
      () => untouched(world),
    );
  });
});

test("a device that is emptied meanwhile gives every page back once", () => {
  rivals((world) =>
    world.scenario(
      {
        *evict() {
          yield* world.device.evict(0, 8);
          yield condResched;
          yield* world.device.evict(0, 8);
        },
      },
      () => untouched(world),
    ),
  );
});

test("an eviction beside a fork, a touch and an exit loses nothing", () => {
  rivals((world) =>
    world.scenario(
      {
        evict: () => world.device.evict(0, 8),
        *fork() {
          const grandchild = yield* forkProcess(world.child);
          yield* exitProcess(grandchild);
        },
        touch: () => world.expectByte(world.child, 0, 1),
      },
      () => untouched(world),
    ),
  );
});

test("a device that dies takes only those with it who touch what was there", () => {
  rivals((world) => {
    const { device, parent, child } = world;
    return world.scenario(
      {
        *death() {
          yield condResched;
          device.onFault = dead;
        },
        *touch() {
          yield* readUser(parent, BASE, new Uint8Array(1));
        },
      },
      function* () {
        // The page of the child's own was never there.
        if (child.mm) yield* world.expectByte(child, 1, 100);
      },
    );
  });
});
