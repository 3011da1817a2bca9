import { condResched, createKernel, KernelBug, KernelError, Mutex, type Sleeps } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type MakeScenario, replaySchedule, runRivals, ScheduleFailure } from "../src/index.ts";

/** Two tasks that each add one to a counter, reading it before a sleep and writing it after. */
function counters(locked: boolean): MakeScenario {
  return () => {
    const kernel = createKernel();
    const lock = new Mutex(kernel.lockdep, "counter");
    let counter = 0;
    function* increment(): Sleeps<void> {
      if (locked) yield* lock.lock();
      const before = counter;
      yield condResched;
      counter = before + 1;
      if (locked) lock.unlock();
    }
    return {
      kernel,
      tasks: { left: increment, right: increment },
      afterStep: () => {},
      afterwards: () => {
        if (counter !== 2) throw new KernelBug(`the counter is ${counter} after two increments`);
      },
    };
  };
}

test("a lost update is found", () => {
  expect(() => runRivals(counters(false), 50)).toThrow(ScheduleFailure);
});

test("a lock that prevents the lost update holds under every schedule tried", () => {
  expect(runRivals(counters(true), 200).endings).toEqual(
    new Map([
      ["left: done", 200],
      ["right: done", 200],
    ]),
  );
});

test("a failure replays from its seed and from its schedule", () => {
  let failure: ScheduleFailure | undefined;
  try {
    runRivals(counters(false), 50);
  } catch (error) {
    failure = error as ScheduleFailure;
  }
  if (!failure) throw new Error("no schedule failed");
  const { seed, schedule } = failure;
  expect(() => runRivals(counters(false), 1, seed)).toThrow(failure.message);
  expect(() => replaySchedule(counters(false), seed, schedule)).toThrow(failure.message);
});

test("an errno ends its task and no other, and is counted", () => {
  const report = runRivals(
    () => ({
      kernel: createKernel(),
      tasks: {
        *refused() {
          yield condResched;
          throw new KernelError("EBUSY", "the device is in use");
        },
        *other() {
          yield condResched;
        },
      },
      afterStep: () => {},
      afterwards: () => {},
    }),
    10,
  );
  expect(report.endings).toEqual(
    new Map([
      ["refused: EBUSY", 10],
      ["other: done", 10],
    ]),
  );
});

test("an invariant that breaks between two steps is reported with the schedule that led there", () => {
  let inside = 0;
  const scenario: MakeScenario = () => {
    inside = 0;
    function* enter(): Sleeps<void> {
      yield condResched;
      inside++;
      yield condResched;
      inside--;
    }
    return {
      kernel: createKernel(),
      tasks: { a: enter, b: enter },
      afterStep: () => {
        if (inside > 1) throw new KernelBug("two tasks are inside");
      },
      afterwards: () => {},
    };
  };
  expect(() => runRivals(scenario, 50)).toThrow(/two tasks are inside[\s\S]*replay with seed/);
});
