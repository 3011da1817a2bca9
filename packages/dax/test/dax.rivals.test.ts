// Paths of the bus that may sleep, under seeded random schedules beside rivals: administrators who pair, divide and delete
// the same devices, a provider that goes, and processes that touch, map and hold the pages meanwhile.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { getUserPagesFast, putUserPages } from "@hetmem/gup";
import {
  assertInvariants,
  condResched,
  KernelBug,
  KernelError,
  MiB,
  pfn,
  Random,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { memoryFailureDevPagemap, quickPagemapInvariants } from "@hetmem/memremap";
import { munmap, type Process, touchUser, vmInvariants } from "@hetmem/mm";
import { expect, test } from "vitest";
import { deviceReleaseDriver, driverAttach, driverBind, driverUnbind } from "../src/binding.ts";
import { createSeed, deleteDevice } from "../src/create-dev-dax.ts";
import { daxInvariants, type DaxPmem } from "../src/index.ts";
import { alignDevice, resizeDevice } from "../src/resize.ts";
import {
  addHmem,
  addNamespace,
  daxMachine,
  type DaxMachine,
  idleDriver,
  mapDevice,
  smallNamespace,
} from "@hetmem/test-machines/dax-machine";

const PLAN = rivalsPlan(process.env, 2);
/** Two cases are about one path: they share its schedules. */
/** Where the data of smallNamespace() begins. */
const FIRST_FRAME = 0x1_0120_0000 / 4096;

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

/** Gives a device to the other driver and back. */
function* swapper({ bus, deviceDax }: DaxMachine): Sleeps<void> {
  bus.idsOf(idleDriver).add("dax0.0");
  yield* attempts([
    () => driverUnbind(bus, deviceDax, "dax0.0"),
    () => driverAttach(bus, idleDriver),
    () => driverUnbind(bus, idleDriver, "dax0.0"),
    () => driverBind(bus, deviceDax, "dax0.0"),
  ]);
}

/** Maps a device, touches it, holds a page for a while, and unmaps it. */
function* user(machine: DaxMachine, process: Process, random: Random): Sleeps<void> {
  const { vm, bus } = machine;
  for (let i = 0; i < 2; i++) {
    const device = bus.devices.get("dax0.0");
    if (!device?.alive || !process.mm) return;
    const at = yield* mapDevice(machine, process, device, { length: 2 * MiB });
    yield condResched;
    yield* touchUser(process, (at + random.below(512) * 4096) as VirtAddr);
    const pages = new Int32Array(2);
    const held = yield* attempt(
      () => getUserPagesFast(process.mm as never, at, 2, { write: true }, pages),
      0,
    );
    for (let step = 0; step < held; step++) yield condResched;
    putUserPages(vm, [...pages.subarray(0, held)] as never);
    yield* munmap(process.mm, at, 2 * MiB);
  }
}

function* attempt<T>(act: () => Sleeps<T>, otherwise: T): Sleeps<T> {
  try {
    return yield* act();
  } catch (error) {
    if (error instanceof KernelError) return otherwise;
    throw error;
  }
}

interface World {
  readonly machine: DaxMachine;
  readonly random: Random;
  readonly namespace: DaxPmem;
}

/** A namespace of 2 MiB, and what must be left when all is over. */
function scenario(rivals: (world: World) => Scenario["tasks"], align = 2 * MiB): (seed: number) => Scenario {
  return (seed) => {
    const machine = daxMachine({ small: true });
    const namespace = addNamespace(machine, smallNamespace(2 * MiB, { align }));
    const tasks = rivals({ machine, random: new Random(seed), namespace });
    return {
      kernel: machine.kernel,
      tasks,
      afterStep() {
        assertInvariants(machine.bus, daxInvariants);
        assertInvariants(machine.pagemaps, quickPagemapInvariants);
      },
      afterwards() {
        if (seed % 8 === 0) assertInvariants(machine.vm, vmInvariants);
        const mapped = machine.pagemaps.mapped().length;
        const alive = [...machine.bus.devices.values()].filter((device) => device.alive).length;
        const { poisonedPages } = machine.memory.counters;
        if (poisonedPages !== 0)
          throw new KernelBug(`${poisonedPages} pages of devices are counted among the corrupted`);
        if (mapped !== alive) throw new KernelBug(`${mapped} pagemaps of ${alive} devices that are alive`);
        for (const { name, ref } of machine.pagemaps.mapped())
          if (ref.count !== 1 + 512) throw new KernelBug(`${name} has ${ref.count} references`);
      },
    };
  };
}

const cases: Readonly<
  Record<string, readonly [make: (seed: number) => Scenario, endings: readonly string[]]>
> = {
  "two administrators pair the same device with two drivers": [
    scenario(({ machine }) => ({
      first: () => swapper(machine),
      second: () => swapper(machine),
      *third() {
        yield* driverBind(machine.bus, machine.deviceDax, "dax0.0");
      },
    })),
    ["first: done", "second: done", "third: done", "third: EBUSY"],
  ],
  "processes map a device of 2 MiB, touch it and hold its pages while its driver comes and goes": [
    scenario(({ machine, random }) => ({
      admin: () => swapper(machine),
      reader: () => user(machine, machine.spawn("reader"), random),
      writer: () => user(machine, machine.spawn("writer"), random),
    })),
    ["admin: done", "reader: done", "reader: ENXIO", "writer: done"],
  ],
  "the same with a device of 4 KiB": [
    scenario(
      ({ machine, random }) => ({
        admin: () => swapper(machine),
        reader: () => user(machine, machine.spawn("reader"), random),
      }),
      4096,
    ),
    ["admin: done", "reader: done", "reader: ENXIO"],
  ],
  "memory of a device fails while its driver comes and goes and a process reads it": [
    scenario(({ machine, random }) => ({
      *memory() {
        for (let i = 0; i < 3; i++) {
          const frame = pfn(FIRST_FRAME + random.below(512));
          const told = yield* memoryFailureDevPagemap(machine.pagemaps, frame, undefined);
          yield condResched;
          if (!told) throw new KernelError("ENXIO", "no device has the frame now");
        }
      },
      admin: () => swapper(machine),
      reader: () => user(machine, machine.spawn("reader"), random),
    })),
    ["memory: done", "memory: ENXIO", "admin: done", "reader: done"],
  ],
  "the provider goes while an administrator binds and a process maps": [
    scenario(({ machine, random, namespace }) => ({
      provider: () => namespace.release(),
      admin: () => swapper(machine),
      reader: () => user(machine, machine.spawn("reader"), random),
    })),
    ["provider: done", "admin: done", "reader: done"],
  ],
  "a driver is unloaded while an administrator binds": [
    scenario(({ machine }) => ({
      *unloader() {
        yield* machine.bus.unregisterDriver(machine.deviceDax);
        yield* machine.bus.registerDriver(machine.deviceDax);
      },
      admin: () => swapper(machine),
    })),
    ["unloader: done", "admin: done"],
  ],
  "administrators create, divide, bind and delete devices of one region": [
    scenario(({ machine }) => {
      const region = addHmem(machine, { idle: true, size: 8 * MiB });
      const divide = (name: string, size: number): Sleeps<void> =>
        attempts([
          () => createSeed(region),
          () => change(machine, name, (device) => resizeDevice(device, size)),
          () => driverBind(machine.bus, machine.deviceDax, name),
          () => change(machine, name, (device) => alignDevice(device, 4096)),
          () => change(machine, name, (device) => deviceReleaseDriver(device)),
          () => change(machine, name, (device) => resizeDevice(device, 0)),
          () => deleteDevice(region, name),
        ]);
      return {
        first: () => divide("dax1.1", 4 * MiB),
        second: () => divide("dax1.1", 6 * MiB),
        third: () => divide("dax1.0", 2 * MiB),
      };
    }),
    ["first: done", "second: done", "third: done"],
  ],
};

function* change(
  { bus }: DaxMachine,
  name: string,
  act: (device: Parameters<typeof resizeDevice>[0]) => Sleeps<void>,
): Sleeps<void> {
  const device = bus.devices.get(name);
  if (device) yield* act(device);
}

for (const [name, [make, endings]] of Object.entries(cases)) {
  test(name, { timeout: 3_600_000 }, () => {
    expect(runRivals(make, PLAN, endings).steps).toBeGreaterThan(0);
  });
}
