// Administrators, scrubs and readers who get in each other's way, under seeded random schedules; invariants are checked after each step.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { assertInvariants, condResched, KernelBug, MiB, Random, run, type Sleeps } from "@hetmem/kernel";
import { type MakeScenario, rivalsPlan, runRivals } from "@hetmem/explore";
import { expect, test } from "vitest";
import { disableDimm, enableDimm, nvdimmInvariants, runNfitWork } from "@hetmem/nvdimm";
import type { MachineOptions } from "@hetmem/test-machines/nvdimm-machine";
import { createNamespace, destroyNamespace, type NamespaceMode } from "../src/index.ts";
import { machine, type NdctlMachine } from "./ndctl-machine.ts";

/** The cases are about two paths, and share their schedules. */
const PLAN = rivalsPlan(process.env, 3);
const MODES: readonly [NamespaceMode, ...NamespaceMode[]] = ["devdax", "fsdax", "raw", "sector"];
const SMALL: MachineOptions = { size: 128 * MiB, labelAreaSize: 4096 };

type Tasks = Record<string, () => Sleeps<unknown>>;

function scenario(
  tasks: (made: NdctlMachine, random: Random) => Tasks,
  options: MachineOptions & { readonly labelled?: boolean } = {},
): MakeScenario {
  return (seed) => {
    const made = machine({ ...SMALL, ...options, seed });
    if (options.labelled ?? true) made.giveLabels();
    if (made.bus.firmware === "ars") run(made.waitScrub());
    const check = (): void => assertInvariants(made.bus, nvdimmInvariants);
    return {
      kernel: made.kernel,
      tasks: tasks(made, new Random(seed)),
      afterStep: check,
      afterwards: () => settles(made),
    };
  };
}

/** Whatever happened, everything can be taken away, nothing leaks, and the media comes up again. */
function settles(made: NdctlMachine): void {
  made.kernel.faults.disarmAll();
  run(runNfitWork(made.bus));
  const sizes = made.bus.namespaces().map(({ size, uuid }) => [uuid, size] as const);
  for (const region of made.bus.regions) run(made.disableRegion(region));
  if (made.mapped.length > 0) throw new KernelBug(`${made.mapped.join()} is still mapped`);
  if (made.iomemText.includes("namespace"))
    throw new KernelBug(`the resource tree still has a namespace:\n${made.iomemText}`);
  if (made.bus.probesActive > 0) throw new KernelBug("a probe never ended");
  made.boot();
  for (const [uuid, size] of sizes) {
    if (uuid === undefined || size === 0) continue;
    const found = made.bus.namespaces().find((one) => one.uuid === uuid);
    if (found?.size !== size) throw new KernelBug(`${uuid} of ${size} came back as ${found?.size}`);
  }
}

function* lifeOfNamespace(made: NdctlMachine, mode: NamespaceMode, size: number): Sleeps<void> {
  const { context } = made;
  const namespace = yield* createNamespace(context, made.ndRegions, { mode, size });
  yield condResched;
  yield* destroyNamespace(context, namespace, { force: true });
}

/** Reads and writes sectors of whatever disk there is. */
function* reader(made: NdctlMachine, random: Random): Sleeps<void> {
  for (let i = 0; i < 4; i++) {
    const disk = [...made.bus.namespaces(), ...made.bus.claims()].find((one) => one.disk)?.disk;
    const bytes = new Uint8Array(4096);
    if (disk)
      yield* random.chance(1, 2)
        ? disk.read(8 * random.below(8), bytes)
        : disk.write(8 * random.below(8), bytes);
    else yield condResched;
  }
}

/** @param delay steps that others may have first */
function* toggleRegion(made: NdctlMachine, delay = 0): Sleeps<void> {
  for (let i = 0; i < delay; i++) yield condResched;
  yield* made.disableRegion(made.region);
  yield condResched;
  yield* made.enableRegion(made.region);
}

const cases: Readonly<Record<string, readonly [MakeScenario, readonly string[]]>> = {
  "two administrators make and destroy namespaces of one region": [
    scenario((made, random) => ({
      first: () => lifeOfNamespace(made, random.pick(MODES), 64 * MiB),
      second: () => lifeOfNamespace(made, random.pick(MODES), 64 * MiB),
    })),
    ["first: done", "second: done", "second: EBUSY"],
  ],
  "memory for struct pages is short while two administrators make namespaces": [
    scenario((made, random) => {
      made.kernel.faults.point("memremap").arm({ probability: 40, seed: random.below(1000) });
      return {
        first: () => lifeOfNamespace(made, random.pick(MODES), 64 * MiB),
        second: () => lifeOfNamespace(made, random.pick(MODES), 64 * MiB),
      };
    }),
    // What the kernel says of a probe stays with it: libndctl answers ENXIO for a device that didn't become enabled.
    ["first: done", "first: ENXIO", "second: done", "second: ENXIO"],
  ],
  "a region is disabled and enabled while a namespace is made in it": [
    scenario(
      (made, random) => ({
        admin: () => lifeOfNamespace(made, random.pick(MODES), 64 * MiB),
        other: () => toggleRegion(made, random.below(120)),
      }),
      { ways: 2 },
    ),
    ["admin: done", "admin: ENODEV", "other: done"],
  ],
  "a namespace is reconfigured beside another administrator, a module that comes and goes, and a reader": [
    scenario(
      (made, random) => ({
        first: () =>
          made.reconfigure(made.namespace("namespace0.0"), { mode: random.pick(MODES), force: true }),
        second: () =>
          made.reconfigure(made.namespace("namespace0.0"), { mode: random.pick(MODES), force: true }),
        *module() {
          yield* disableDimm(made.bus, made.bus.dimm(0));
          yield* enableDimm(made.bus, made.bus.dimm(0));
        },
        reader: () => reader(made, random),
      }),
      { labelled: false },
    ),
    ["first: done", "first: ENODEV", "second: done", "module: done", "reader: done"],
  ],
  "errors are injected, met and cleared while a scrub runs and the namespace comes and goes": [
    scenario(
      (made, random) => {
        const namespace = made.namespace("namespace0.0");
        const inject = (notify: boolean): Sleeps<void> =>
          made.inject(namespace, { block: random.below(64), notify });
        return {
          *injector() {
            for (let i = 0; i < 3; i++) yield* inject(random.chance(1, 2));
          },
          *scrubber() {
            yield* made.startScrub();
            yield* made.waitScrub();
          },
          reader: () => reader(made, random),
          *admin() {
            yield* made.disable(namespace);
            yield* made.enable(namespace);
            yield* made.clearErrors(namespace, { scrub: true });
          },
        };
      },
      { labelled: false },
    ),
    [
      "injector: done",
      "scrubber: done",
      "scrubber: EBUSY",
      "reader: done",
      "reader: EIO",
      "reader: ENXIO",
      "admin: done",
    ],
  ],
  "the workqueue runs while a region is disabled under its scrub": [
    scenario(
      (made, random) => ({
        *worker() {
          yield* made.inject(made.namespace("namespace0.0"), { block: random.below(64) });
          yield* runNfitWork(made.bus);
        },
        admin: () => toggleRegion(made),
        *other() {
          yield* made.startScrub();
          yield* runNfitWork(made.bus);
        },
      }),
      { labelled: false },
    ),
    ["worker: done", "admin: done", "other: done"],
  ],
};

for (const [name, [make, endings]] of Object.entries(cases)) {
  test(name, { timeout: 3_600_000 }, () => {
    expect(runRivals(make, PLAN, endings).steps).toBeGreaterThan(0);
  });
}
