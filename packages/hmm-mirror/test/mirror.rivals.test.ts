// Devices that mirror a process, beside whoever changes what they mirror: after each step a device may only have what the
// process has. Every path runs under many schedules; the seed also says who the rival is.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { byTurns, rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import {
  assertInvariants,
  condResched,
  KernelBug,
  MiB,
  nodeId,
  Random,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import { MbindFlag, movePages } from "@hetmem/migrate";
import {
  exitProcess,
  forkProcess,
  Madv,
  mprotect,
  munmap,
  type Process,
  Prot,
  readUser,
  unlockPage,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { makeDeviceExclusiveRange } from "../src/make-device-exclusive.ts";
import { coverageInvariants, MmuNotifier, mmuNotifierRegister, watchCoverage } from "@hetmem/mmu-notifier";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { expect, test } from "vitest";
import { hmmOf } from "../src/index.ts";
import { type Device, type DeviceEntry, MirrorDevice, RangeDevice, strayEntry } from "./devices.ts";
import {
  at,
  mapPages,
  type MirrorMachine,
  mirrorMachine,
  RW,
  write,
} from "@hetmem/test-machines/mirror-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const PLAN = rivalsPlan(process.env);
const PAGES = 4;

class World {
  readonly machine: MirrorMachine = mirrorMachine({}, [4 * MiB, 4 * MiB]);
  readonly random: Random;
  readonly parent: Process;
  readonly child: Process;
  readonly mm;
  readonly devices: Device[] = [];
  readonly freeAtStart: number;

  constructor(seed: number) {
    const { vm } = this.machine;
    this.random = new Random(seed);
    swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
    this.freeAtStart = this.machine.freePages();
    this.parent = this.machine.spawn("parent");
    this.mm = mmOf(this.parent);
    mapPages(this.parent, 0, PAGES);
    for (let page = 0; page < PAGES - 1; page++) write(this.parent, page, page + 1);
    this.child = run(forkProcess(this.parent));
    // Somebody else listens too, and takes his time, so that every change of the page tables can be preempted.
    run(
      mmuNotifierRegister(
        new MmuNotifier({ invalidateRangeStart: slowly, invalidateRangeEnd: slow }, undefined),
        this.mm,
      ),
    );
    watchCoverage(vm);
  }

  rangeDevice(name: string): RangeDevice {
    const device = new RangeDevice(this.mm, name, PAGES);
    this.devices.push(device);
    return device;
  }

  *mirrorDevice(name: string): Sleeps<MirrorDevice> {
    const device = new MirrorDevice(this.mm, name);
    this.devices.push(device);
    yield* device.open();
    return device;
  }

  /** The entry of the process's page table for a page. */
  mapped(page: number): DeviceEntry | undefined {
    const { pageTable, vm } = this.mm;
    if (!vm.addressSpaces.has(this.mm)) return undefined;
    const entry = pageTable.find(at(page));
    const flags = entry < 0 ? 0 : pageTable.flags(entry);
    if ((flags & (Pte.present | Pte.protnone)) !== Pte.present) return undefined;
    const mappedPage = (flags & Pte.special) !== 0 ? vm.zeroPage : pageTable.value(entry);
    return { page: mappedPage, write: (flags & Pte.write) !== 0 };
  }

  check(): void {
    for (const device of this.devices) {
      const stray = strayEntry(device, (page) => this.mapped(page));
      if (stray !== undefined) throw new KernelBug(stray);
    }
  }
}

function* slow(): Sleeps<void> {
  yield condResched;
}

function* slowly(): Sleeps<boolean> {
  yield condResched;
  return true;
}

type Body = (world: World) => Sleeps<unknown>;

/** Who changes what is mirrored. */
const RIVALS: Readonly<Record<string, Body>> = {
  *"a cpu touch"({ parent }) {
    for (let page = 0; page < PAGES; page++) {
      if (yield* writeUser(parent, at(page), Uint8Array.of(page + 10))) return;
      const into = new Uint8Array(1);
      if (yield* readUser(parent, at(page), into)) return;
      if (into[0] !== page + 10) throw new Error(`page ${page} reads ${into[0]} behind a write`);
    }
  },
  *munmap({ mm }) {
    yield* munmap(mm, at(1), 2 * PAGE);
  },
  *fork({ parent }) {
    const grandchild = yield* forkProcess(parent);
    yield* writeUser(grandchild, at(0), Uint8Array.of(77));
    yield* exitProcess(grandchild);
  },
  *exit({ parent }) {
    yield* exitProcess(parent);
  },
  *mprotect({ mm }) {
    yield* mprotect(mm, at(0), 3 * PAGE, Prot.READ);
    yield* mprotect(mm, at(0), 3 * PAGE, RW);
  },
  *migration({ parent, random }) {
    const addresses = Array.from({ length: PAGES }, (_, page) => at(page));
    yield* movePages(
      parent,
      addresses,
      addresses.map(() => nodeId(random.below(2))),
      [],
      MbindFlag.MOVE_ALL,
    );
  },
  *reclaim({ mm }) {
    yield* madvise(mm, at(0), PAGES * PAGE, Madv.PAGEOUT);
  },
  *"an exclusive device"({ mm }) {
    yield* mm.mmapLock.downRead();
    try {
      for (const page of yield* makeDeviceExclusiveRange(mm, at(0), at(2), "another")) {
        if (page === 0) continue;
        unlockPage(mm.vm.memmap, page);
        mm.vm.memmap.putPage(page);
      }
    } finally {
      mm.mmapLock.upRead();
    }
  },
  *"a second mirror"(world) {
    const device = yield* world.mirrorDevice("second");
    yield* device.mirrorAlive(0, PAGES, true);
    yield* device.close();
  },
  *"a second device"(world) {
    const device = world.rangeDevice("second");
    yield* device.mirrorAlive(0, PAGES, true);
    yield* device.close();
  },
};

/** What devices do. Every other one leaves before the process does. */
const PATHS: Readonly<Record<string, (world: World) => () => Sleeps<unknown>>> = {
  "hmmRangeFault to read and to write": (world) => {
    const device = world.rangeDevice("device");
    return () => use(world, device);
  },
  "a mirror of 4.14 that reads and writes": (world) => {
    const device = run(world.mirrorDevice("device"));
    return () => use(world, device);
  },
};

function* use({ random }: World, device: Device): Sleeps<void> {
  yield* device.mirrorAlive(0, PAGES, false);
  yield* device.mirrorAlive(1, 2, true);
  if (random.chance(1, 2)) yield* device.close();
}

for (const [name, path] of Object.entries(PATHS)) {
  test(`${name} never gives a device what the process hasn't`, { timeout: 36_000_000 }, () => {
    expect(runRivals(scenario(path), PLAN).steps).toBeGreaterThan(0);
  });
}

function scenario(path: (world: World) => () => Sleeps<unknown>): (seed: number) => Scenario {
  return (seed) => {
    const world = new World(seed);
    const { vm, kernel } = world.machine;
    const [name, rival] = byTurns(RIVALS, seed);
    const body = path(world);
    let steps = 0;
    return {
      kernel,
      tasks: { device: body, [name]: () => rival(world) },
      afterStep() {
        world.check();
        if (seed % 16 === 0 || steps++ % 16 === 0)
          assertInvariants(vm, [...vmInvariants, ...coverageInvariants]);
      },
      afterwards() {
        world.check();
        assertInvariants(vm, vmInvariants);
        run(endOf(world));
        expect(world.machine.freePages()).toBe(world.freeAtStart);
      },
    };
  };
}

/** Everybody goes. Of a mirror that was told of the end, nothing is left. */
function* endOf({ machine, devices, mm }: World): Sleeps<void> {
  for (const process of machine.vm.processes) yield* exitProcess(process);
  for (const device of devices) {
    if (device.table.size > 0) throw new Error(`${device.name} has pages of a process that is no more`);
    if (device instanceof MirrorDevice) {
      if (device.hmmMirror.life !== undefined && !device.released)
        throw new Error(`${device.name} wasn't told of the end`);
      yield* device.close();
    }
  }
  if (hmmOf(mm) !== undefined) throw new Error("a struct hmm has outlived its mirrors");
}

test("the rivals find a device that doesn't ask whether its pages are still true", () => {
  class Careless extends RangeDevice {
    override *mirror(first: number, count: number): Sleeps<void> {
      yield* this.mm.mmapLock.downRead();
      const seen = Array.from(
        { length: count },
        (_, i) => [first + i, entryOfMm(this.mm, first + i)] as const,
      );
      this.mm.mmapLock.upRead();
      yield* this.lock.lock();
      for (const [page, value] of seen) if (value > 0) this.table.set(page, { page: value, write: false });
      this.lock.unlock();
    }
  }
  const careless = scenario((world) => {
    const device = new Careless(world.mm, "careless", PAGES);
    world.devices.push(device);
    return () => device.mirrorAlive(0, PAGES, false);
  });
  expect(() => runRivals(careless, { schedules: 400 })).toThrow(/careless has page/);
});

function entryOfMm(mm: World["mm"], page: number): number {
  const entry = mm.pageTable.find(at(page));
  return entry < 0 || (mm.pageTable.flags(entry) & Pte.present) === 0 ? 0 : mm.pageTable.value(entry);
}
