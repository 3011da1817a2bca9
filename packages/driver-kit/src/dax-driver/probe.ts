// Obligations of probe(): that it takes a device as it is, or refuses it without a trace. Kernel counterpart: really_probe() in
// drivers/base/dd.c, which calls no remove() after a failed probe.
import { type DevDax, formatRange } from "@hetmem/dax";
import { byTurns } from "@hetmem/explore";
import { KernelError, MiB, run, type Sleeps } from "@hetmem/kernel";
import { requestRegion } from "@hetmem/resource";
import type { Obligation } from "../conformance.ts";
import { SECTION } from "../machine.ts";
import { demand } from "../violation.ts";
import type { DaxDriverUnderTest } from "./driver.ts";
import {
  addDevice,
  addRange,
  bind,
  binds,
  blocksOf,
  createTrial,
  demandSame,
  difference,
  obligation,
  reserved,
  resize,
  START,
  stateOf,
  type Trial,
  unbind,
  unbinds,
} from "./trial.ts";

/** Devices that a driver may refuse, by what is wrong with them. A trial has one, by its seed. */
const AWKWARD: Readonly<Record<string, (subject: DaxDriverUnderTest) => Awkward>> = {
  "its range is taken"(subject) {
    const trial = createTrial(subject);
    const device = run(addDevice(trial, SECTION));
    requestRegion(trial.machine.iomem, START, 2 * MiB, "another driver");
    return { trial, device };
  },
  "its second range is taken"(subject) {
    const trial = createTrial(subject);
    const device = run(twoRanges(trial));
    requestRegion(trial.machine.iomem, START + 2 * SECTION, 2 * MiB, "another driver");
    return { trial, device };
  },
  "the firmware names no node": (subject) => of(createTrial(subject, -1)),
  "the firmware names a node that isn't possible": (subject) => of(createTrial(subject, 7)),
  "it is smaller than a memory block": (subject) => of(createTrial(subject), 2 * MiB),
  "no memory is left for its data": (subject) => withFailure(createTrial(subject), "failslab"),
  "no memory is left for a count of references": (subject) =>
    withFailure(createTrial(subject), "percpu_ref_init"),
};

interface Awkward {
  readonly trial: Trial;
  readonly device: DevDax;
}

export const refusesWithAnErrno: Obligation<DaxDriverUnderTest> = {
  name: "refuses a device with an errno",
  sentence: "A probe that can't take a device throws a KernelError, which the bus passes on or logs.",
  attempt(subject, seed) {
    const [what, make] = byTurns(AWKWARD, seed);
    const { trial, device } = make(subject);
    const error = run(refusal(trial, device));
    demand(
      error === undefined || error instanceof KernelError,
      `a device is refused because ${what}, and the bus gets no errno: ${String(error)}`,
    );
  },
};

export const changesNothing: Obligation<DaxDriverUnderTest> = {
  name: "changes nothing when it refuses",
  sentence: "After a probe that throws, the machine is as it was before: the bus doesn't call remove().",
  attempt(subject, seed) {
    const [what, make] = byTurns(AWKWARD, seed);
    const { trial, device } = make(subject);
    const before = stateOf(trial);
    if (run(refusal(trial, device)) !== undefined)
      demandSame(before, stateOf(trial), `a device was refused because ${what}`);
  },
};

export const takesEachRange = obligation({
  name: "takes each range of a device",
  sentence: "Of a device with several ranges each is taken and given back, or the log names it.",
  *try(trial) {
    const device = yield* twoRanges(trial);
    const before = stateOf(trial);
    if (!(yield* binds(trial, device))) return;
    const parts = reserved(trial, device);
    for (const range of device.ranges)
      demand(
        parts.some(({ start, end }) => start <= range.end && end >= range.start) || isLogged(trial, range),
        `${device.name} is bound, and ${formatRange(range)} of it is neither taken nor named in the log`,
      );
    const bound = stateOf(trial);
    if (!(yield* unbinds(trial, device))) return;
    const wanted = trial.driver.keepsMemory === true ? bound : before;
    demandSame(wanted, stateOf(trial), `${device.name} with ${device.ranges.length} ranges is unbound`);
  },
});

export const takesRangesAsTheyAre = obligation({
  name: "takes the ranges as they are",
  sentence: "A device that was resized since its last driver is taken in its new size.",
  *try(trial) {
    const device = yield* addDevice(trial, 2 * SECTION);
    const before = stateOf(trial);
    if (!(yield* binds(trial, device)) || !(yield* unbinds(trial, device))) return;
    if (difference(before, stateOf(trial)) !== undefined) return;
    yield* resize(trial, device, SECTION);
    if (!(yield* binds(trial, device))) return;
    const beyond = reserved(trial, device).find(({ end }) => end >= START + SECTION);
    demand(
      beyond === undefined,
      `${device.name} was made smaller, and its driver reserves ${beyond && formatRange(beyond)}`,
    );
    const foreign = trial.machine.hotplug.blocks.size - blocksOf(trial, device).length;
    demand(
      foreign === 0,
      `${device.name} was made smaller, and ${foreign} memory blocks outside of it are RAM`,
    );
  },
});

export const bindsAgain = obligation({
  name: "binds again",
  sentence: "A device that was given back is taken again, each time as the first time.",
  *try(trial) {
    const device = yield* addDevice(trial, SECTION);
    const before = stateOf(trial);
    if (!(yield* binds(trial, device))) return;
    const bound = stateOf(trial);
    for (let i = 2; i <= 4; i++) {
      yield* unbind(trial, device);
      if (difference(before, stateOf(trial)) !== undefined) return;
      yield* mustBind(trial, device, i);
      demandSame(bound, stateOf(trial), `${device.name} is bound for the ${i}th time`);
    }
  },
});

function* mustBind(trial: Trial, device: DevDax, time: number): Sleeps<void> {
  const error = yield* refusal(trial, device);
  demand(
    error === undefined,
    `${device.name} is free, and can't be bound for the ${time}th time: ${String(error)}`,
  );
}

/** The error with which a probe refuses; undefined when it takes the device. */
function* refusal(trial: Trial, device: DevDax): Sleeps<Error | undefined> {
  try {
    yield* bind(trial, device);
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error;
  }
}

function of(trial: Trial, bytes: number = SECTION): Awkward {
  return { trial, device: run(addDevice(trial, bytes)) };
}

/** A device whose driver gets no memory from a fault point. */
function withFailure(trial: Trial, point: string): Awkward {
  const awkward = of(trial);
  trial.machine.kernel.faults.point(point).arm({ probability: 100 });
  return awkward;
}

/** A device with a hole of a memory block between its two ranges. */
function* twoRanges(trial: Trial): Sleeps<DevDax> {
  const device = yield* addDevice(trial, SECTION);
  yield* addRange(trial, device, 2 * SECTION, SECTION);
  return device;
}

function isLogged(
  { machine: { kernel } }: Trial,
  range: { readonly start: number; readonly end: number },
): boolean {
  return kernel.log.records.some(({ text }) => text.includes(formatRange(range)));
}
