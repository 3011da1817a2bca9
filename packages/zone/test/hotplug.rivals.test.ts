// Every path of hotplug that may sleep, under seeded random schedules beside rivals: a second operation on the same and
// on other blocks, an allocator, and a reader that holds writers off. Invariants are checked after each step.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import {
  assertInvariants,
  condResched,
  GiB,
  KernelBug,
  KernelError,
  MiB,
  nodeId,
  type Page,
  type Pfn,
  physAddr,
  Random,
  type Sleeps,
} from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { expect, test } from "vitest";
import {
  Gfp,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  type MemoryAction,
  memoryInvariants,
  MigrateType,
  movePfnRangeToZone,
  offlineBlock,
  onlineBlock,
  type OnlineType,
  quickInvariants,
  removePfnRangeFromZone,
  type Zone,
  ZoneType,
} from "../src/index.ts";
import {
  hotplugMachine,
  type HotplugMachine,
  type HotplugMachineOptions,
  OwnedPages,
} from "@hetmem/test-machines/hotplug-machine";
import { underLock } from "@hetmem/test-machines/ram";

const PLAN = rivalsPlan(process.env, 4);
/** Most cases are about one path, the life of a block: they share its schedules. */
const BLOCK = 128 * MiB;
const START = 4 * GiB;

interface CaseOptions extends HotplugMachineOptions {
  /** Every struct page is looked at in the end of one schedule in so many: it takes as long as the schedule. */
  readonly walkEvery?: number;
}

/** Little memory at boot, so that a case is cheap. */
const SMALL: CaseOptions = { memory: [[0, 64 * MiB]], walkEvery: 4 };
const TYPES: readonly [OnlineType, ...OnlineType[]] = ["online", "online_kernel", "online_movable"];

/** Adds a block, onlines it, takes it offline and removes it. */
function* lifeOfBlock({ hotplug }: HotplugMachine, id: number, type: OnlineType): Sleeps<void> {
  const start = physAddr(id * BLOCK);
  yield* underLock(hotplug, () => hotplug.addMemory(nodeId(id % 2), start, BLOCK));
  yield* underLock(hotplug, () => onlineBlock(hotplug, hotplug.block(id), type));
  yield* underLock(hotplug, () => offlineBlock(hotplug, hotplug.block(id)));
  yield* underLock(hotplug, () => hotplug.removeMemory(start, BLOCK));
}

/** Takes pages of all kinds, and gives them back in another order. */
function* allocator({ memory }: HotplugMachine, random: Random): Sleeps<void> {
  const held: (readonly [Page, number])[] = [];
  for (let i = 0; i < 12; i++) {
    const order = random.below(3) === 0 ? random.below(10) : 0;
    const gfp = random.pick([GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_KERNEL | Gfp.THISNODE]);
    const page = memory.allocator.allocPages(gfp, order, nodeId(0));
    if (page !== NULL_PAGE) held.push([page, order]);
    yield condResched;
    const given = random.chance(1, 2) ? held.splice(random.below(held.length), 1) : [];
    for (const [back, size] of given) memory.allocator.freePages(back, size);
  }
  for (const [page, order] of held) memory.allocator.freePages(page, order);
}

/** Reads totals twice under get_online_mems(): nothing may go on- or offline in between. */
function* reader({ hotplug, memory }: HotplugMachine): Sleeps<void> {
  const present = (): number[] => memory.nodes.map((node) => node?.presentPages ?? 0);
  for (let i = 0; i < 3; i++) {
    yield* hotplug.locks.getOnlineMems();
    const before = present();
    for (let step = 0; step < 3; step++) yield condResched;
    if (present().join() !== before.join())
      throw new KernelBug("memory went on- or offline under get_online_mems()");
    hotplug.locks.putOnlineMems();
  }
}

/** Maps a range of device memory into ZONE_DEVICE and unmaps it, as memremap does, with struct pages of a block at most. */
function* driver({ hotplug, memory }: HotplugMachine, start: number, size: number): Sleeps<void> {
  const [address, frame, pages] = [physAddr(start), (start / 4096) as Pfn, size / 4096];
  const zone = memory.nodes[0]?.zones[ZoneType.Device] as Zone;
  const changing = (change: () => Sleeps<void>): Sleeps<void> =>
    underLock(hotplug, function* () {
      yield* hotplug.locks.memHotplugBegin();
      try {
        yield* change();
      } finally {
        hotplug.locks.memHotplugDone();
      }
    });
  yield* changing(function* () {
    yield* hotplug.archAddMemory(nodeId(0), address, size, { altmap: undefined, memoryBlocks: false });
    movePfnRangeToZone(memory, zone, frame, pages, MigrateType.Movable);
  });
  for (let i = 0; i < 3; i++) {
    yield condResched;
    const page = memory.memmap.pfnToPage((frame + pages - 1) as Pfn);
    if (memory.memmap.zoneOf(page) !== ZoneType.Device)
      throw new KernelBug(`frame 0x${(frame + pages - 1).toString(16)} left ZONE_DEVICE`);
  }
  yield* changing(function* () {
    removePfnRangeFromZone(memory, zone, frame, pages);
    yield* hotplug.archRemoveMemory(address, size);
  });
}

/** Refuses a third of what is about to happen, and checks that each change that was announced ended in one way. */
function refusingNotifier({ hotplug }: HotplugMachine, random: Random): () => void {
  const counts = new Map<MemoryAction, number>();
  hotplug.notifiers.register(function* (action) {
    yield condResched;
    counts.set(action, (counts.get(action) ?? 0) + 1);
    const refuses = random.chance(1, 3);
    if (action === "MEM_GOING_ONLINE" && refuses)
      throw new KernelError("ENOMEM", "no room for page extensions");
    if (action === "MEM_GOING_OFFLINE" && refuses) throw new KernelError("EBUSY", "the driver still uses it");
  });
  return () => {
    for (const state of ["ONLINE", "OFFLINE"] as const) {
      const [going = 0, done = 0, cancelled = 0] = (["MEM_GOING_", "MEM_", "MEM_CANCEL_"] as const).map(
        (verb) => counts.get(`${verb}${state}`),
      );
      if (going !== done + cancelled)
        throw new KernelBug(`${going} changes to ${state}, ${done + cancelled} ended`);
    }
  };
}

function scenario(
  rivals: (machine: HotplugMachine, random: Random) => Scenario["tasks"],
  { walkEvery = 1, ...options }: CaseOptions = {},
  atEnd: (machine: HotplugMachine) => void = () => {},
): (seed: number) => Scenario {
  return (seed) => {
    const machine = hotplugMachine({
      memory: [[0, 256 * MiB]],
      room: 2 * BLOCK,
      physicalBits: 36,
      ...options,
    });
    const tasks = rivals(machine, new Random(seed));
    return {
      kernel: machine.kernel,
      tasks,
      afterStep: () => assertInvariants(machine.memory, quickInvariants),
      afterwards: () => {
        assertInvariants(machine.memory, seed % walkEvery === 0 ? memoryInvariants : quickInvariants);
        atEnd(machine);
      },
    };
  };
}

const cases: Readonly<
  Record<string, readonly [make: (seed: number) => Scenario, endings: readonly string[]]>
> = {
  "two administrators add, online, offline and remove different blocks": [
    scenario((machine, random) => ({
      first: () => lifeOfBlock(machine, 32, random.pick(TYPES)),
      second: () => lifeOfBlock(machine, 33, random.pick(TYPES)),
    })),
    ["first: done", "second: done"],
  ],
  "two administrators want the same block": [
    scenario((machine, random) => ({
      first: () => lifeOfBlock(machine, 32, random.pick(TYPES)),
      second: () => lifeOfBlock(machine, 32, random.pick(TYPES)),
    })),
    ["first: done", "second: EEXIST"],
  ],
  "an allocator takes and frees pages while blocks come and go": [
    scenario((machine, random) => ({
      admin: () => lifeOfBlock(machine, 32, random.pick(TYPES)),
      allocator: () => allocator(machine, random),
      other: () => allocator(machine, random),
    })),
    ["admin: done", "admin: EBUSY", "allocator: done"],
  ],
  "a reader holds memory still while it looks": [
    scenario((machine, random) => ({
      admin: () => lifeOfBlock(machine, 32, random.pick(TYPES)),
      reader: () => reader(machine),
    })),
    ["admin: done", "reader: done"],
  ],
  "an administrator takes memory offline and removes it in one go, and an allocator is in the way": [
    scenario((machine, random) => {
      machine.add(START, { size: 2 * BLOCK });
      for (const id of [32, 33]) machine.online(id, random.pick(TYPES));
      return {
        admin: () => machine.hotplug.offlineAndRemoveMemory(physAddr(START), 2 * BLOCK),
        allocator: () => allocator(machine, random),
        reader: () => reader(machine),
      };
    }),
    ["admin: done", "admin: EBUSY", "allocator: done", "reader: done"],
  ],
  "pages fail, softly and hard, while their block comes and goes": [
    scenario((machine, random) => {
      machine.add(START);
      machine.online(32, "online_movable");
      const frame = (): Pfn => (START / 4096 + random.below(32_768)) as Pfn;
      return {
        admin: () =>
          underLock(machine.hotplug, function* () {
            yield* offlineBlock(machine.hotplug, machine.hotplug.block(32));
            yield* onlineBlock(machine.hotplug, machine.hotplug.block(32), "online_movable");
          }),
        *soft() {
          for (let i = 0; i < 4; i++) yield* machine.failure.softOffline(frame());
        },
        *hard() {
          for (let i = 0; i < 4; i++) yield* machine.failure.hardOffline(frame());
        },
      };
    }),
    ["admin: done", "soft: done", "soft: EIO", "hard: done", "hard: ENXIO"],
  ],
  "pages in use move out of a block that two administrators take offline": [
    scenario((machine) => {
      machine.add(START);
      machine.online(32, "online_movable");
      const owner = new OwnedPages(machine);
      owner.allocate(64, GFP_HIGHUSER_MOVABLE);
      const offline = (): Sleeps<boolean> =>
        underLock(machine.hotplug, () => offlineBlock(machine.hotplug, machine.hotplug.block(32)));
      return {
        first: offline,
        second: offline,
        *owner() {
          for (let i = 0; i < 8; i++) {
            owner.checkContents();
            yield condResched;
          }
        },
      };
    }),
    ["first: done", "second: done", "owner: done"],
  ],
  "drivers map and unmap device memory, the same or its neighbour, while RAM comes and goes": [
    scenario(
      (machine, random) => ({
        first: () => driver(machine, START + BLOCK, BLOCK / 2),
        second: () => driver(machine, START + BLOCK + random.pick([0, BLOCK / 2]), BLOCK / 2),
        admin: () => lifeOfBlock(machine, 32, random.pick(TYPES)),
      }),
      SMALL,
      ({ hotplug, memory }) => {
        if (hotplug.blocks.has(32)) return;
        if (hotplug.vmemmap.framesInUse > 0) throw new KernelBug("struct pages of nothing are left");
        if (memory.memmap.sections.present().length > 1) throw new KernelBug("a section of nothing is left");
      },
    ),
    ["first: done", "first: EEXIST", "second: done", "second: EEXIST", "admin: done", "admin: EBUSY"],
  ],
  "blocks that hold their own struct pages come and go beside an allocator": [
    scenario(
      (machine, random) => ({
        first: () => lifeOfBlock(machine, 32, random.pick(TYPES)),
        second: () => lifeOfBlock(machine, random.pick([32, 33]), random.pick(TYPES)),
        allocator: () => allocator(machine, random),
      }),
      { ...SMALL, memmapOnMemory: true },
      ({ hotplug }) => {
        if (hotplug.vmemmap.framesInUse > 0) throw new KernelBug("struct pages lie outside of their block");
      },
    ),
    ["first: done", "first: EBUSY", "second: done", "second: EEXIST", "allocator: done"],
  ],
  "blocks go online as they are added, and somebody takes them offline or turns that off": [
    scenario((machine, random) => {
      const { hotplug } = machine;
      hotplug.autoOnline = random.pick(TYPES);
      return {
        *first() {
          yield* underLock(hotplug, () => hotplug.addMemory(nodeId(0), physAddr(START), 2 * BLOCK));
        },
        *second() {
          while (!hotplug.blocks.has(33)) yield condResched;
          yield* underLock(hotplug, () => offlineBlock(hotplug, hotplug.block(33)));
          yield* underLock(hotplug, () => hotplug.removeMemory(physAddr(START + BLOCK), BLOCK));
        },
        *turner() {
          yield condResched;
          hotplug.autoOnline = "offline";
        },
      };
    }, SMALL),
    ["first: done", "second: done", "turner: done"],
  ],
  "a notifier sleeps, and refuses some of what two administrators want": [
    (seed) => {
      let checkNotified = (): void => {};
      return scenario(
        (machine, random) => {
          checkNotified = refusingNotifier(machine, random);
          return {
            first: () => lifeOfBlock(machine, 32, random.pick(TYPES)),
            second: () => lifeOfBlock(machine, 33, random.pick(TYPES)),
          };
        },
        SMALL,
        () => checkNotified(),
      )(seed);
    },
    ["first: done", "first: ENOMEM", "first: EBUSY", "second: done", "second: ENOMEM", "second: EBUSY"],
  ],
};

for (const [name, [make, endings]] of Object.entries(cases)) {
  test(name, { timeout: 3_600_000 }, () => {
    expect(runRivals(make, PLAN, endings).steps).toBeGreaterThan(0);
  });
}
