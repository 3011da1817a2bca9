// Whole machines whose device memory changes what it is while others use it, under seeded random schedules: what packages/memremap,
// dax, dax-kmem and nvdimm try alone, here through all floors, from files of /sys and programs down to struct pages.
// In the end the machine is brought back to where it was, and nothing may be left.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { daxInvariants } from "@hetmem/dax";
import { type MakeScenario, rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, Random, run } from "@hetmem/kernel";
import { quickPagemapInvariants } from "@hetmem/memremap";
import { exitProcess } from "@hetmem/mm";
import { quickInvariants } from "@hetmem/zone";
import { expect, test } from "vitest";
import { createMachine, type Machine } from "../src/machine.ts";
import type { MachineSpec } from "@hetmem/machine-spec";
import { countersOf, DAX, specWith } from "./device-machine.ts";
import {
  backAndToRam,
  backToDevice,
  backToRam,
  holder,
  namespaceForAWhile,
  rebinding,
  toRamAndBack,
  type,
  typing,
  withoutNamespaces,
  type World,
  worker,
} from "./device-rivals.ts";
import { spawn } from "./device-users.ts";

/** Each path has as many in the tests of its package; here the five cases share them. */
const PLAN = rivalsPlan(process.env, 5);
const SET_ASIDE = "name: Soft Reserved, start: 4G, node: 1";

/** A device changes its size while no driver has it. */
const resized = (size: string): readonly string[] => [
  `daxctl disable-device ${DAX}`,
  `daxctl reconfigure-device -s ${size} ${DAX}`,
  `daxctl enable-device ${DAX}`,
];

interface Case {
  readonly spec: MachineSpec;
  /** Commands typed before the rivals start. */
  readonly prepare?: readonly string[];
  /** Brings the machine to where the rivals begin, from wherever they left it. */
  settle(machine: Machine): void;
  tasks(world: World): Scenario["tasks"];
  /** What each of them must have met, or they never got in each other's way. */
  readonly met: readonly string[];
}

const cases: Readonly<Record<string, Case>> = {
  "processes hold pages of a dax device while it becomes RAM and a device again": {
    spec: specWith(`${SET_ASIDE}, size: 128M`),
    settle: (machine) => backToDevice(machine, DAX),
    tasks: (world) => ({
      admin: () => toRamAndBack(world, DAX, 32),
      reader: () => holder(world, DAX),
      other: () => holder(world, DAX),
    }),
    met: ["admin: done", "admin: online", "reader: held", "reader: ENXIO"],
  },
  "a process works in memory of a device that goes offline and is unbound": {
    spec: specWith(`${SET_ASIDE}, size: 128M`),
    settle: (machine) => backToRam(machine, DAX, 32),
    tasks: (world) => ({
      admin: () => backAndToRam(world, DAX, 32),
      worker: () => worker(world),
    }),
    met: ["admin: offline", "worker: on node 0", "worker: on node 1"],
  },
  "a device is unbound and bound while its neighbour becomes RAM and a device again": {
    spec: specWith(`${SET_ASIDE}, size: 256M`),
    prepare: [...resized("128M"), "daxctl create-device -r 0"],
    settle(machine) {
      backToDevice(machine, DAX);
      backToDevice(machine, "dax0.1");
    },
    tasks: (world) => ({
      driver: () => rebinding(world, DAX),
      admin: () => toRamAndBack(world, "dax0.1", 33),
      reader: () => holder(world, DAX),
    }),
    met: ["driver: done", "admin: done", "reader: held"],
  },
  "two administrators create devices in one region, and destroy them": {
    spec: specWith(`${SET_ASIDE}, size: 128M`),
    prepare: resized("64M"),
    settle(machine) {
      for (const name of machine.devices.dax.bus.devices.keys())
        if (name !== DAX) type(machine, `daxctl destroy-device -f ${name}`);
    },
    tasks: (world) => ({
      first: () => typing(world, ["daxctl create-device -r 0 -s 32M", "daxctl destroy-device -f dax0.1"]),
      second: () => typing(world, ["daxctl create-device -r 0 -s 64M", "daxctl destroy-device -f dax0.1"]),
    }),
    met: [
      "daxctl create-device -r 0 -s 32M: 0",
      "daxctl create-device -r 0 -s 32M: 228",
      "daxctl create-device -r 0 -s 64M: 0",
      "daxctl destroy-device -f dax0.1: 0",
      "daxctl destroy-device -f dax0.1: 240",
    ],
  },
  "two administrators make namespaces in one section, where it takes one pagemap only": {
    spec: specWith("name: Persistent Memory, start: 4G, size: 128M, node: 1, modules: 1", "v5.1"),
    // ZONE_DEVICE never shrinks: it is to span from here on all that it will.
    prepare: ["ndctl create-namespace -m devdax -M mem -s 64M"],
    settle: withoutNamespaces,
    tasks: (world) => ({
      first: () => namespaceForAWhile(world, "first", "devdax"),
      second: () => namespaceForAWhile(world, "second", "fsdax"),
    }),
    // What the kernel says of a probe stays with it: libndctl answers ENXIO.
    met: ["first: done", "first: EBUSY", "second: done", "second: ENXIO"],
  },
};

test.each(Object.entries(cases))(
  "%s",
  { timeout: 3_600_000 },
  (_name, { spec, prepare = [], settle, tasks, met }) => {
    const outcomes = new Set<string>();
    const make: MakeScenario = (seed) => {
      const machine = createMachine(spec);
      type(machine, ...prepare);
      settle(machine);
      // What is loaded at first use stays.
      run(exitProcess(run(spawn(machine, "first"))));
      const before = countersOf(machine);
      const random = new Random(seed);
      const world: World = {
        machine,
        random,
        note: (what) => void outcomes.add(what),
      };
      return {
        kernel: machine.kernel,
        tasks: tasks(world),
        afterStep() {
          assertInvariants(machine.devices.dax.bus, daxInvariants);
          assertInvariants(machine.devices.pagemaps, quickPagemapInvariants);
        },
        afterwards() {
          assertInvariants(machine.memory, quickInvariants);
          settle(machine);
          expect(countersOf(machine)).toEqual(before);
        },
      };
    };
    runRivals(make, PLAN);
    if (PLAN.complete) expect([...outcomes]).toEqual(expect.arrayContaining([...met]));
  },
);
