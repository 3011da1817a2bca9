// Pages that move while their processes unmap them, forbid them, share them, write to them, are reclaimed and end. A
// listener that sleeps in each callback opens every place where others may come in between. After every step each page
// is found from its entries and back; in the end everybody has what he wrote, and nothing is lost.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { exitAll } from "@hetmem/test-machines/exit-all";
import { rivalsPlan, type RivalsReport, runRivals, type Scenario } from "@hetmem/explore";
import { getUserPages, pinUserPages, putUserPages, unpinUserPages } from "@hetmem/gup";
import {
  assertInvariants,
  condResched,
  KernelBug,
  MiB,
  type Page,
  Random,
  run,
  type Sleeps,
  virtAddr,
} from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  mprotect,
  mremap,
  MremapFlag,
  munmap,
  type Process,
  Prot,
  readUser,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import { MmuNotifier, type MmuNotifierOps, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { pageReferenced } from "@hetmem/reclaim";
import { BASE, entryOf, ON_NODE_1, withMemory } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { MigrateMode, MigrateReason } from "../src/migrate-mode.ts";
import { migratePages, putbackMovablePages } from "../src/migrate-pages.ts";
import { migrationTarget } from "../src/migration-target.ts";

/** The six cases are about one path, and share its schedules. */
const PLAN = rivalsPlan(process.env, 6);
const PAGES = 5;

const SLEEPY: MmuNotifierOps = {
  *invalidateRangeStart() {
    yield condResched;
    return true;
  },
  *invalidateRangeEnd() {
    yield condResched;
  },
};

/** A parent and a child that share pages, somebody who listens to the parent in half of the cases, and what each page holds. */
class World {
  readonly machine: VmMachine = vmMachine({ nodes: [8 * MiB, 8 * MiB] });
  readonly free: number = this.machine.freePages();
  readonly random: Random;
  readonly parent: Process;
  readonly child: Process;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.parent = this.machine.spawn("parent");
    withMemory(this.parent, PAGES);
    for (let i = 0; i < PAGES; i++) run(this.write(this.parent, i, `page ${i}`));
    this.child = run(forkProcess(this.parent));
    // Some pages are the child's own.
    run(this.write(this.child, 1, "child"));
    if (this.random.chance(1, 2))
      run(mmuNotifierRegister(new MmuNotifier(SLEEPY, undefined), mmOf(this.parent)));
  }

  *write(process: Process, index: number, text: string): Sleeps<void> {
    yield* writeUser(process, addressOf(index), new TextEncoder().encode(text.padEnd(8, ".")));
  }

  /** @throws KernelBug when a page isn't what was written */
  *expectText(process: Process, index: number, text: string): Sleeps<void> {
    const into = new Uint8Array(8);
    const signal = yield* readUser(process, addressOf(index), into);
    const found = new TextDecoder().decode(into);
    if (signal || found !== text.padEnd(8, "."))
      throw new KernelBug(
        `page ${index} of ${process.comm} ${process.pid} is ${signal?.reason ?? found}, not ${text}`,
      );
  }

  /** Moves whatever is in use from anywhere to node 1 and puts back what stays. */
  *mover(): Sleeps<void> {
    const { vm } = this.machine;
    for (let round = 0; round < 2; round++) {
      const pages = this.residentPages().filter((page) => vm.lru.isolate(page));
      yield condResched;
      const mode = this.random.pick([MigrateMode.Async, MigrateMode.SyncLight, MigrateMode.Sync]);
      const target = migrationTarget(vm, ON_NODE_1);
      const { failed } = yield* migratePages(vm, pages, target, mode, MigrateReason.Syscall);
      putbackMovablePages(
        vm,
        failed.map(({ page }) => page),
      );
    }
  }

  residentPages(): Page[] {
    const { memmap } = this.machine.vm;
    const pages = new Set<number>();
    for (const process of [this.parent, this.child])
      if (process.mm) for (let i = 0; i < PAGES; i++) pages.add(entryOf(process, i)[0]);
    return [...pages].filter((page) => page > 0 && memmap.refcount(page as Page) > 0) as Page[];
  }

  scenario(others: Readonly<Record<string, () => Sleeps<unknown>>>, check: () => Sleeps<void>): Scenario {
    const { machine } = this;
    return {
      kernel: machine.kernel,
      tasks: { mover: () => this.mover(), ...others },
      afterStep: () => assertInvariants(machine.vm, vmInvariants),
      afterwards: () => {
        run(check());
        exitAll(machine, this.free);
      },
    };
  }
}

function addressOf(index: number): ReturnType<typeof virtAddr> {
  return virtAddr(BASE + index * 4096);
}

function rivals(make: (world: World) => Scenario): RivalsReport {
  return runRivals((seed) => make(new World(seed)), PLAN);
}

test("a migration meets munmap: what is left is whole, and what is gone is gone", () => {
  const { endings, schedules } = rivals((world) => {
    const { parent, child } = world;
    return world.scenario(
      {
        *munmap() {
          yield* munmap(mmOf(parent), addressOf(1), 2 * 4096);
        },
      },
      function* () {
        yield* world.expectText(parent, 0, "page 0");
        yield* world.expectText(child, 2, "page 2");
        yield* world.expectText(child, 1, "child");
      },
    );
  });
  expect(endings.get("munmap: done")).toBe(schedules);
});

test("a migration meets mprotect: nobody can write afterwards who must not", () => {
  rivals((world) => {
    const { parent, child } = world;
    return world.scenario(
      {
        *mprotect() {
          yield* mprotect(mmOf(parent), addressOf(0), 3 * 4096, Prot.READ);
        },
        *writer() {
          yield* world.write(child, 3, "written");
        },
      },
      function* () {
        const signal = yield* writeUser(parent, addressOf(2), Uint8Array.of(1));
        if (signal?.code !== "SEGV_ACCERR") throw new KernelBug("a write went through");
        yield* world.expectText(parent, 2, "page 2");
        yield* world.expectText(child, 3, "written");
        yield* world.expectText(parent, 3, "page 3");
      },
    );
  });
});

test("a migration meets fork: the new child has every page too", () => {
  const { endings, schedules } = rivals((world) => {
    const { parent, child } = world;
    const born: Process[] = [];
    return world.scenario(
      {
        *fork() {
          born.push(yield* forkProcess(parent));
        },
        *writer() {
          yield* world.write(parent, 4, "written");
        },
      },
      function* () {
        for (const process of born)
          for (const i of [0, 1, 2, 3]) yield* world.expectText(process, i, `page ${i}`);
        yield* world.expectText(parent, 4, "written");
        yield* world.expectText(child, 4, "page 4");
      },
    );
  });
  expect(endings.get("fork: done")).toBe(schedules);
});

test("a migration meets the end of one that shares the pages", () => {
  rivals((world) => {
    const { parent, child, random } = world;
    const [goes, stays] = random.chance(1, 2) ? [parent, child] : [child, parent];
    return world.scenario(
      {
        *exit() {
          yield* exitProcess(goes);
        },
        *writer() {
          yield* world.write(stays, 2, "written");
        },
      },
      function* () {
        for (const i of [0, 3, 4]) yield* world.expectText(stays, i, `page ${i}`);
        yield* world.expectText(stays, 2, "written");
      },
    );
  });
});

test("a migration meets pins, references and looks: what somebody holds stays where he writes to", () => {
  rivals((world) => {
    const { parent, random } = world;
    const { vm } = world.machine;
    const pins = random.chance(1, 2);
    return world.scenario(
      {
        *device() {
          const mm = mmOf(parent);
          yield* mm.mmapLock.downRead();
          const get = pins ? pinUserPages : getUserPages;
          const pages = yield* get(mm, addressOf(0), 2, { write: true });
          mm.mmapLock.upRead();
          yield condResched;
          vm.memmap.contents.write(pages[0] as Page, 0, new TextEncoder().encode("by dma.."));
          yield condResched;
          if (pins) unpinUserPages(vm, pages);
          else putUserPages(vm, pages);
        },
        *reclaim() {
          for (const page of world.residentPages()) {
            if (!vm.memmap.getPageUnlessZero(page)) continue;
            yield* pageReferenced(vm, page);
            vm.memmap.putPage(page);
          }
        },
      },
      function* () {
        yield* world.expectText(parent, 0, "by dma");
        yield* world.expectText(parent, 1, "page 1");
      },
    );
  });
});

test("a migration meets mremap: pages are found at their new place", () => {
  rivals((world) => {
    const { parent } = world;
    let moved = addressOf(0);
    return world.scenario(
      {
        *mremap() {
          moved = yield* mremap(mmOf(parent), {
            address: addressOf(1),
            oldLength: 2 * 4096,
            newLength: 2 * 4096,
            flags: MremapFlag.MAYMOVE | MremapFlag.FIXED,
            newAddress: virtAddr(BASE - 2 ** 30),
          });
        },
      },
      function* () {
        const into = new Uint8Array(6);
        yield* readUser(parent, virtAddr(moved + 4096), into);
        if (new TextDecoder().decode(into) !== "page 2")
          throw new KernelBug("the page is not at its new place");
        yield* world.expectText(parent, 3, "page 3");
      },
    );
  });
});
