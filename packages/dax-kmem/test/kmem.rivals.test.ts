// A device becomes RAM and goes back while others take its block online and offline, use its pages, or want the device for
// another driver, under seeded random schedules.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import {
  allocDaxRegion,
  createDevDax,
  daxInvariants,
  type DaxRegion,
  unregisterDaxRegion,
} from "@hetmem/dax";
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import {
  assertInvariants,
  condResched,
  KernelBug,
  KernelError,
  MiB,
  nodeId,
  type Page,
  physAddr,
  Random,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import { quickPagemapInvariants } from "@hetmem/memremap";
import { NULL_PAGE } from "@hetmem/page";
import { resourceInvariants } from "@hetmem/resource";
import {
  Gfp,
  GFP_HIGHUSER_MOVABLE,
  offlineBlock,
  onlineBlock,
  type OnlineType,
  quickInvariants,
} from "@hetmem/zone";
import { expect, test } from "vitest";
import { bind, newId, unbind } from "./bus-verbs.ts";
import { kmemMachine, type KmemMachine } from "@hetmem/test-machines/kmem-machine";
import { SECTION } from "@hetmem/test-machines/ram";

const PLAN = rivalsPlan(process.env, 2);
/** Two cases are about one path: they share its schedules. */
const START = 0x8000_0000;
const FIRST_BLOCK = START / SECTION;
const TYPES: readonly [OnlineType, ...OnlineType[]] = ["online", "online_kernel", "online_movable"];

/** Does things that may be refused, and goes on. */
function* attempts(acts: readonly (() => Sleeps<unknown>)[]): Sleeps<void> {
  for (const act of acts) {
    try {
      yield* act();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
    yield condResched;
  }
}

function* underLock(machine: KmemMachine, change: (machine: KmemMachine) => Sleeps<unknown>): Sleeps<void> {
  const { locks } = machine.hotplug;
  yield* locks.lockDeviceHotplug();
  try {
    yield* change(machine);
  } finally {
    locks.unlockDeviceHotplug();
  }
}

/** Makes RAM of the device, and a device again. */
function reconfigure(machine: KmemMachine): Sleeps<void> {
  return attempts([
    () => unbind(machine, "device_dax"),
    () => newId(machine, "kmem"),
    () => unbind(machine, "kmem"),
    () => bind(machine, "device_dax"),
  ]);
}

/** Takes the block online when it appears, and offline. */
function* onliner(machine: KmemMachine, type: OnlineType): Sleeps<void> {
  const { hotplug } = machine;
  for (let wait = 0; wait < 20 && !hotplug.blocks.has(FIRST_BLOCK); wait++) yield condResched;
  yield* attempts([
    () => underLock(machine, () => onlineBlock(hotplug, hotplug.block(FIRST_BLOCK), type)),
    () => underLock(machine, () => offlineBlock(hotplug, hotplug.block(FIRST_BLOCK))),
  ]);
}

/** Uses pages of the node for a while. */
function* user({ memory }: KmemMachine, random: Random): Sleeps<void> {
  const { allocator, memmap } = memory;
  const held: Page[] = [];
  for (let i = 0; i < 20; i++) {
    const page = allocator.allocPages(GFP_HIGHUSER_MOVABLE | Gfp.THISNODE, 0, nodeId(1));
    if (page !== NULL_PAGE) held.push(page);
    yield condResched;
    if (random.chance(1, 2)) for (const back of held.splice(0, 1)) memmap.putPage(back);
  }
  for (const page of held) memmap.putPage(page);
}

interface World {
  readonly machine: KmemMachine;
  readonly region: DaxRegion;
  readonly random: Random;
}

/** One device of one block, run by device_dax. */
function scenario(rivals: (world: World) => Scenario["tasks"]): (seed: number) => Scenario {
  return (seed) => {
    const machine = kmemMachine({ nodeSize: 64 * MiB, deviceSize: SECTION, small: true });
    const region = allocDaxRegion(
      machine.bus,
      { devpath: "devices/platform/hmem.0", numaNode: 0 },
      { id: 0, start: physAddr(START), size: SECTION, targetNode: 1, align: 2 * MiB, kind: "dynamic" },
    );
    run(createDevDax(region, { size: SECTION }));
    let steps = seed;
    return {
      kernel: machine.kernel,
      tasks: rivals({ machine, region, random: new Random(seed) }),
      afterStep() {
        assertInvariants(machine.bus, daxInvariants);
        // Those of zones, which hotplug has rivals for, take most of the time: each schedule looks at other steps.
        if (++steps % 8 === 0) assertInvariants(machine.memory, quickInvariants);
      },
      afterwards() {
        assertInvariants(machine.memory, quickInvariants);
        assertInvariants(machine.iomem, resourceInvariants);
        assertInvariants(machine.pagemaps, quickPagemapInvariants);
        checkOwner(machine);
      },
    };
  };
}

/** The memory is RAM, or a device's, or nobody's; RAM that no driver has is stuck. Whoever has it has its range. */
function checkOwner({ bus, kmem, hotplug, pagemaps, iomemText }: KmemMachine): void {
  const driver = bus.devices.get("dax0.0")?.driver?.name;
  const stuck = kmem.stuck.length > 0;
  const isOwned = driver !== undefined || stuck;
  const expected = [driver === "kmem" || stuck, driver === "device_dax", isOwned];
  const found = [
    hotplug.blocks.has(FIRST_BLOCK),
    pagemaps.mapped().length > 0,
    iomemText().includes("dax0.0"),
  ];
  if (expected.join() !== found.join())
    throw new KernelBug(`driver ${driver}, stuck ${stuck}, but RAM, mapped, reserved: ${found.join()}`);
}

const cases: Readonly<
  Record<string, readonly [make: (seed: number) => Scenario, endings: readonly string[]]>
> = {
  "a device is unbound while its block goes online and offline": [
    scenario(({ machine, random }) => ({
      admin: () => reconfigure(machine),
      onliner: () => onliner(machine, random.pick(TYPES)),
      user: () => user(machine, random),
    })),
    ["admin: done", "onliner: done", "user: done"],
  ],
  "two administrators reconfigure the same device": [
    scenario(({ machine }) => ({
      first: () => reconfigure(machine),
      second: () => attempts([() => newId(machine, "kmem"), () => unbind(machine, "kmem")]),
      *third() {
        yield* unbind(machine, "kmem");
      },
    })),
    ["first: done", "second: done", "third: done", "third: ENODEV"],
  ],
  "the provider goes while the device becomes RAM": [
    scenario(({ machine, region, random }) => ({
      provider: () => unregisterDaxRegion(region),
      admin: () => reconfigure(machine),
      onliner: () => onliner(machine, random.pick(TYPES)),
    })),
    ["provider: done", "admin: done", "onliner: done"],
  ],
};

for (const [name, [make, endings]] of Object.entries(cases)) {
  test(name, { timeout: 3_600_000 }, () => {
    expect(runRivals(make, PLAN, endings).steps).toBeGreaterThan(0);
  });
}
