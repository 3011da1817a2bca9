// Every path of device memory that may sleep, under seeded random schedules beside rivals: users of its pages, an
// unbind, a second mapping, and hotplug of the neighbouring section. Those of pagemaps that are cheap are checked after each step.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import {
  assertInvariants,
  condResched,
  KernelBug,
  MiB,
  type Page,
  type Pfn,
  physAddr,
  Random,
  type Sleeps,
} from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { GFP_KERNEL, offlineBlock, onlineBlock, quickInvariants, ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";
import {
  defaultPagemapPolicies,
  type DevPagemap,
  idleAtZero,
  MemoryType,
  pagemapInvariants,
  quickPagemapInvariants,
  zoneDevicePageInit,
} from "../src/index.ts";
import {
  pagemapMachine,
  type PagemapMachine,
  type PagemapMachineOptions,
  devicePagemap,
  drivenPagemap,
  LATER,
  NODE_0,
  START,
} from "@hetmem/test-machines/pagemap-machine";
import { SECTION } from "@hetmem/test-machines/ram";

const PLAN = rivalsPlan(process.env, 2);
/** Two cases are about one path: they share its schedules. */
/** Frames that are looked at: the edges of what is mapped here, and some within. */
const FRAMES = [0, 1, 511, 512, 16_384, 32_767].map((n) => START / 4096 + n);

/** A driver is bound, and unbound again after a while. */
function* bound(
  { pagemaps }: PagemapMachine,
  pagemap: DevPagemap,
  meanwhile: () => Sleeps<void>,
): Sleeps<void> {
  yield* pagemaps.memremapPages(pagemap, NODE_0);
  yield* meanwhile();
  yield* pagemaps.memunmapPages(pagemap);
}

function* idle(): Sleeps<void> {
  for (let i = 0; i < 4; i++) yield condResched;
}

/** Takes references on device pages as gup does: the pagemap's first, then the page's; the pagemap's goes at once. */
function* gup({ pagemaps, memmap }: PagemapMachine, random: Random): Sleeps<void> {
  const held: Page[] = [];
  let cached: DevPagemap | undefined;
  for (let i = 0; i < 16; i++) {
    const frame = random.pick(FRAMES as [number, ...number[]]) as Pfn;
    cached = pagemaps.getDevPagemap(frame, cached);
    yield condResched;
    if (cached && memmap.pfnValid(frame)) {
      const page = memmap.pfnToPage(frame);
      // Nobody maps a page that isn't ready, so that no page table leads there either.
      if (memmap.initialised(page) && memmap.refcount(page) > 0 && cached.mappedRanges > 0) {
        memmap.getPage(page);
        held.push(page);
      }
    }
    if (random.chance(1, 3)) {
      pagemaps.putDevPagemap(cached);
      cached = undefined;
    }
    yield condResched;
    for (const page of held)
      if (memmap.zoneOf(page) !== ZoneType.Device) throw new KernelBug("a page went while somebody held it");
    if (held.length > 3 || random.chance(1, 4)) {
      const page = held.shift();
      if (page !== undefined) memmap.putPage(page);
    }
  }
  pagemaps.putDevPagemap(cached);
  for (const page of held) {
    yield condResched;
    memmap.putPage(page);
  }
}

/** A driver that hands out its pages and gets them back, until it sees that it is being unbound. */
function* allocating(
  { pagemaps, memmap }: PagemapMachine,
  pagemap: DevPagemap,
  random: Random,
): Sleeps<void> {
  const held: Page[] = [];
  for (let i = 0; i < 24; i++) {
    yield condResched;
    const page = memmap.pfnToPage((pagemap.firstPfn(0) + random.below(8)) as Pfn);
    const free =
      pagemap.mappedRanges > 0 && !pagemap.ref.dying && memmap.refcount(page) === pagemap.idleCount;
    if (free) {
      zoneDevicePageInit(pagemaps, page);
      held.push(page);
    } else if (held.length > 0 && random.chance(1, 2)) {
      memmap.putPage(held.shift() as Page);
    }
  }
  for (const page of held) {
    yield condResched;
    memmap.putPage(page);
  }
}

/** Adds the block behind the device, uses it as RAM, and removes it. */
function* neighbour({ hotplug }: PagemapMachine, id: number): Sleeps<void> {
  const start = physAddr(id * SECTION);
  const locked = function* (body: () => Sleeps<unknown>): Sleeps<void> {
    yield* hotplug.locks.lockDeviceHotplug();
    try {
      yield* body();
    } finally {
      hotplug.locks.unlockDeviceHotplug();
    }
  };
  yield* locked(() => hotplug.addMemory(NODE_0, start, SECTION));
  yield* locked(() => onlineBlock(hotplug, hotplug.block(id), "online_movable"));
  yield* locked(() => offlineBlock(hotplug, hotplug.block(id)));
  yield* locked(() => hotplug.removeMemory(start, SECTION));
}

/** Takes what RAM there is, and gives it back piece by piece. */
function* allocator({ memory: { allocator: pages } }: PagemapMachine, random: Random): Sleeps<void> {
  const held: (readonly [Page, number])[] = [];
  for (const order of [10, 9, 4, 0]) {
    for (let page = pages.allocPages(GFP_KERNEL, order, NODE_0); page !== NULL_PAGE;) {
      held.push([page, order]);
      page = pages.allocPages(GFP_KERNEL, order, NODE_0);
    }
    yield condResched;
  }
  while (held.length > 0) {
    for (const [page, order] of held.splice(-random.below(100) - 1)) pages.freePages(page, order);
    yield condResched;
  }
}

function scenario(
  rivals: (machine: PagemapMachine, random: Random) => Scenario["tasks"],
  options: PagemapMachineOptions = {},
): (seed: number) => Scenario {
  return (seed) => {
    const machine = pagemapMachine({ room: SECTION, ...options });
    const before = machine.fingerprint();
    const tasks = rivals(machine, new Random(seed));
    let steps = 0;
    return {
      kernel: machine.kernel,
      tasks,
      afterStep() {
        // Those of zones, which hotplug has rivals for, are looked at every fourth time; every struct page of a device now
        // and then, which takes longer than mapping it.
        if (steps % 4 === 0) assertInvariants(machine.memory, quickInvariants);
        assertInvariants(
          machine.pagemaps,
          ++steps % 64 === 0 && seed % 32 === 0 ? pagemapInvariants : quickPagemapInvariants,
        );
      },
      afterwards() {
        assertInvariants(machine.pagemaps, pagemapInvariants);
        expect(machine.fingerprint()).toEqual(before);
      },
    };
  };
}

const half = (name: string, at: number): DevPagemap =>
  devicePagemap({ name, ranges: [{ start: START + at, size: SECTION / 2 }] });
const BLOCK = START / SECTION;

const cases: Readonly<
  Record<string, readonly [make: (seed: number) => Scenario, endings: readonly string[]]>
> = {
  "users of a device's pages against its unbind": [
    scenario((machine, random) => ({
      driver: () => bound(machine, devicePagemap(), idle),
      gup: () => gup(machine, random),
      other: () => gup(machine, random),
    })),
    ["driver: done", "gup: done"],
  ],
  "a second mapping in the same section": [
    scenario((machine) => ({
      first: () => bound(machine, half("pmem0", 0), idle),
      second: () => bound(machine, half("pmem1", SECTION / 2), idle),
    })),
    ["first: done", "first: ENOMEM", "second: done", "second: ENOMEM"],
  ],
  "two halves of a section, where subsections are mapped, and users of one": [
    scenario(
      (machine, random) => ({
        first: () => bound(machine, half("pmem0", 0), idle),
        second: () => bound(machine, half("pmem1", SECTION / 2), idle),
        gup: () => gup(machine, random),
      }),
      { policies: LATER },
    ),
    ["first: done", "second: done"],
  ],
  "two drivers map at once, and one of them two ranges that may not all fit": [
    scenario(
      (machine, random) => {
        machine.kernel.faults.point("arch_add_memory").arm({ probability: 40, seed: random.below(1000) });
        const ranges = [0, 2].map((n) => ({ start: START + n * SECTION, size: 2 * MiB }));
        return {
          first: () => bound(machine, devicePagemap({ ranges }), idle),
          second: () =>
            bound(
              machine,
              devicePagemap({ name: "dax1.0", ranges: [{ start: START + SECTION, size: SECTION }] }),
              idle,
            ),
          gup: () => gup(machine, random),
        };
      },
      { room: 3 * SECTION },
    ),
    ["first: done", "first: ENOMEM", "second: done", "second: ENOMEM"],
  ],
  "hotplug of the neighbouring section": [
    scenario(
      (machine, random) => ({
        driver: () => bound(machine, devicePagemap(), idle),
        admin: () => neighbour(machine, BLOCK + 1),
        gup: () => gup(machine, random),
      }),
      { room: 2 * SECTION },
    ),
    ["driver: done", "admin: done"],
  ],
  "hotplug of the very section": [
    scenario((machine) => ({
      driver: () => bound(machine, devicePagemap(), idle),
      admin: () => neighbour(machine, BLOCK),
    })),
    ["driver: done", "driver: ENXIO", "admin: done"],
  ],
  "a driver hands out pages while it is unbound, idle pages with a reference": [
    scenario((machine, random) => {
      const { pagemap } = drivenPagemap(MemoryType.DevicePrivate);
      return {
        driver: () => bound(machine, pagemap, idle),
        allocating: () => allocating(machine, pagemap, random),
        gup: () => gup(machine, random),
      };
    }),
    ["driver: done", "allocating: done"],
  ],
  "a driver hands out pages while it is unbound, idle pages with none": [
    scenario(
      (machine, random) => {
        const { pagemap } = drivenPagemap(MemoryType.DevicePrivate);
        return {
          driver: () => bound(machine, pagemap, idle),
          allocating: () => allocating(machine, pagemap, random),
          gup: () => gup(machine, random),
        };
      },
      { policies: { ...defaultPagemapPolicies, idle: idleAtZero } },
    ),
    ["driver: done", "allocating: done"],
  ],
  "struct pages from RAM that somebody else wants": [
    scenario(
      (machine, random) => ({
        driver: () => bound(machine, devicePagemap(), idle),
        allocator: () => allocator(machine, random),
      }),
      { ram: [[0, 12 * MiB]] },
    ),
    ["driver: done", "driver: ENOMEM", "allocator: done"],
  ],
};

test.each(Object.entries(cases))("%s", (_name, [make, endings]) => {
  expect(runRivals(make, PLAN, endings).steps).toBeGreaterThan(0);
});
