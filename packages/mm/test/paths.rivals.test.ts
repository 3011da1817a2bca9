// Every path of a process's memory that may sleep, beside somebody who takes away what it works on. Each case runs under
// many schedules; the seed also says who the rival is. After each step the counts of pages agree with the page tables,
// and in the end nothing is left.
//
// HETMEM_SCHEDULES says how many seeds each case runs under (2,000 where it is absent), HETMEM_SEED where they begin.
import { runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, condResched, nodeId, type Sleeps } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { getUserPages, pinUserPages } from "../src/gup/gup.ts";
import { getUserPagesFast } from "../src/gup/fast.ts";
import { putUserPages, unpinUserPages } from "../src/gup/unpin.ts";
import { vmInvariants } from "../src/invariants.ts";
import { movePages } from "../src/migrate/move-pages.ts";
import { scanForHints } from "../src/migrate/numa-balancing.ts";
import { MbindFlag } from "../src/migrate/queue-pages.ts";
import { coverageInvariants, watchCoverage } from "../src/notifier/coverage.ts";
import { truncate } from "../src/page-cache/truncate.ts";
import { fsyncRange } from "../src/page-cache/writeback.ts";
import { ClearRefs, clearRefs } from "../src/proc/clear-refs.ts";
import { smapsText } from "../src/proc/smaps.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import { makeDeviceExclusiveRange } from "../src/rmap/device-exclusive.ts";
import { madvise } from "../src/vma/madvise.ts";
import { Madv, MremapFlag } from "../src/vma/map-flags.ts";
import { mlock, munlock } from "../src/vma/mlock.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { mremap } from "../src/vma/mremap.ts";
import { munmap } from "../src/vma/munmap.ts";
import { Prot } from "../src/vma/vm-flags.ts";
import {
  ANON,
  anyArea,
  ELSEWHERE,
  endOfWorld,
  FILE,
  PAGES,
  PRIVATE_FILE,
  readAll,
  type RivalWorld,
  rivalWorld,
  SHMEM,
  writeAndCheck,
} from "./rival-world.ts";
import { pageAt, mmOf, PAGE } from "./vm-machine.ts";

const SCHEDULES = Number(process.env["HETMEM_SCHEDULES"] ?? 2000);
const FIRST_SEED = Number(process.env["HETMEM_SEED"] ?? 0);

type Body = (world: RivalWorld) => Sleeps<unknown>;

/** Who takes what away. */
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
  *offline({ machine, block }) {
    yield* machine.offlineTask(block);
    yield* machine.onlineTask(block);
  },
};

/** What they are rivals to, by its name in reports. */
const PATHS: Readonly<Record<string, Body>> = {
  *"a write to pages that are shared since a fork"(world) {
    yield* writeAndCheck(world.parent, ANON, 100);
    yield* writeAndCheck(world.parent, PRIVATE_FILE, 101);
  },
  *"a write to pages of files"(world) {
    yield* writeAndCheck(world.parent, FILE, 102);
    yield* writeAndCheck(world.parent, SHMEM, 103);
  },
  *"a read of pages that are in swap"({ parent }) {
    yield* madvise(mmOf(parent), ANON, PAGES * PAGE, Madv.PAGEOUT);
    yield* readAll(parent, ANON);
    yield* writeAndCheck(parent, ANON, 104);
  },
  *"a fork"({ parent }) {
    const child = yield* forkProcess(parent);
    yield* readAll(child, ANON);
    yield* exitProcess(child);
  },
  *"an exit"({ machine, parent }) {
    const other = yield* forkProcess(parent);
    yield* condReschedOnce();
    yield* exitProcess(other);
    machine.vm.processes.get(parent.pid);
  },
  *"an munmap"({ parent }) {
    yield* munmap(mmOf(parent), ANON, 3 * PAGE);
    yield* munmap(mmOf(parent), PRIVATE_FILE, PAGES * PAGE);
  },
  *"an mprotect"({ parent }) {
    yield* mprotect(mmOf(parent), ANON, PAGES * PAGE, Prot.READ);
    yield* mprotect(mmOf(parent), FILE, PAGES * PAGE, Prot.READ);
    yield* mprotect(mmOf(parent), ANON, PAGES * PAGE, Prot.READ | Prot.WRITE);
  },
  *"an mremap"({ parent }) {
    const flags = MremapFlag.MAYMOVE | MremapFlag.FIXED;
    const request = { address: ANON, oldLength: PAGES * PAGE, newLength: PAGES * PAGE, flags };
    yield* mremap(mmOf(parent), { ...request, newAddress: ELSEWHERE });
    yield* readAll(parent, ELSEWHERE);
  },
  *"madvise(DONTNEED), (FREE) and (COLD)"({ parent }) {
    yield* madvise(mmOf(parent), ANON, 2 * PAGE, Madv.FREE);
    yield* madvise(mmOf(parent), pageAt(ANON, 2), PAGE, Madv.DONTNEED);
    yield* madvise(mmOf(parent), SHMEM, PAGES * PAGE, Madv.COLD);
    yield* readAll(parent, ANON);
  },
  *"mlock and munlock"({ parent }) {
    yield* mlock(mmOf(parent), ANON, PAGES * PAGE);
    yield* mlock(mmOf(parent), SHMEM, PAGES * PAGE);
    yield* munlock(mmOf(parent), ANON, PAGES * PAGE);
  },
  *get_user_pages(world) {
    const { machine, parent } = world;
    const { mmapLock } = mmOf(parent);
    const { area } = { area: anyArea(world) };
    yield* mmapLock.downRead();
    try {
      const pages = yield* getUserPages(mmOf(parent), area, 3, { write: true });
      yield condResched;
      putUserPages(machine.vm, pages);
    } finally {
      mmapLock.upRead();
    }
  },
  *get_user_pages_fast(world) {
    const { machine, parent } = world;
    const pages = new Int32Array(3);
    const got = yield* getUserPagesFast(mmOf(parent), anyArea(world), 3, { write: true }, pages as never);
    yield condResched;
    putUserPages(machine.vm, pages as never, got);
  },
  *"a pin"(world) {
    const { machine, parent } = world;
    const { mmapLock } = mmOf(parent);
    yield* mmapLock.downRead();
    let pages;
    try {
      pages = yield* pinUserPages(mmOf(parent), ANON, 2, { write: true });
    } finally {
      mmapLock.upRead();
    }
    for (let i = 0; i < 6; i++) yield condResched;
    unpinUserPages(machine.vm, pages);
  },
  *"a truncation"({ memfd, file, parent }) {
    yield* truncate(memfd.host, PAGE);
    yield* truncate(file.host, 2 * PAGE);
    yield* truncate(file.host, PAGES * PAGE);
    yield* readAll(parent, FILE);
  },
  *writeback({ file, parent }) {
    yield* fsyncRange(file.mapping);
    yield* writeAndCheck(parent, FILE, 105);
    yield* fsyncRange(file.mapping);
  },
  *"a look at smaps and clear_refs"({ parent }) {
    yield* smapsText(mmOf(parent));
    yield* clearRefs(mmOf(parent), ClearRefs.softDirty);
    yield* writeAndCheck(parent, ANON, 106);
  },
  *"NUMA hints"({ parent }) {
    mmOf(parent).node = nodeId(1);
    yield* scanForHints(mmOf(parent), 512);
    yield* readAll(parent, ANON);
    yield* readAll(parent, SHMEM);
  },
  *"device-exclusive access"({ machine, parent }) {
    const { mmapLock } = mmOf(parent);
    yield* mmapLock.downRead();
    let pages;
    try {
      pages = yield* makeDeviceExclusiveRange(mmOf(parent), ANON, pageAt(ANON, 2), undefined);
    } finally {
      mmapLock.upRead();
    }
    for (const page of pages) {
      if (page === 0) continue;
      machine.vm.memmap.clear(page, 1);
      machine.vm.memmap.putPage(page);
    }
    yield* readAll(parent, ANON);
  },
};

function* condReschedOnce(): Sleeps<void> {
  yield condResched;
}

function scenario(body: Body): (seed: number) => Scenario {
  const rivals = Object.entries(RIVALS);
  return (seed) => {
    const world = rivalWorld(seed);
    const { vm } = world.machine;
    watchCoverage(vm);
    const [name, rival] = rivals[seed % rivals.length] ?? ["nobody", body];
    return {
      kernel: world.machine.kernel,
      tasks: { path: () => body(world), [name]: () => rival(world) },
      afterStep: () => assertInvariants(vm, STEP_INVARIANTS),
      afterwards: () => {
        assertInvariants(vm, vmInvariants);
        endOfWorld(world);
        assertInvariants(vm, vmInvariants);
        expect(world.machine.freePages()).toBe(world.freeAtStart);
      },
    };
  };
}

const STEP_INVARIANTS = [...vmInvariants, ...coverageInvariants];

for (const [name, body] of Object.entries(PATHS)) {
  test(`${name} survives whoever takes its pages away`, () => {
    expect(runRivals(scenario(body), SCHEDULES, FIRST_SEED).schedules).toBe(SCHEDULES);
  }, 36_000_000);
}
