import { condResched, createKernel, KernelBug, KernelError, Mutex, type Sleeps } from "@hetmem/kernel";
import { expect, test } from "vitest";
import {
  byTurns,
  type MakeScenario,
  onlyNamed,
  replaySchedule,
  type RivalsPlan,
  rivalsPlan,
  runRivals,
  ScheduleFailure,
} from "../src/index.ts";

const NOTHING = { afterStep: () => {}, afterwards: () => {} };

function plan(schedules: number, more: Partial<RivalsPlan> = {}): RivalsPlan {
  return { schedules, ...more };
}

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

function failureOf(what: () => unknown): ScheduleFailure {
  try {
    what();
  } catch (error) {
    if (error instanceof ScheduleFailure) return error;
    throw error;
  }
  throw new Error("no schedule failed");
}

/** The environment that the line of the message sets. */
function environmentOf(message: string): Record<string, string> {
  const pairs = [...message.matchAll(/(HETMEM_[A-Z]+)=(\d+)/g)];
  return Object.fromEntries(pairs.map(([, name = "", value = ""]) => [name, value]));
}

test("a lost update is found", () => {
  expect(() => runRivals(counters(false), plan(50))).toThrow(ScheduleFailure);
});

test("a lock that prevents the lost update holds under every schedule tried", () => {
  expect(runRivals(counters(true), plan(200)).endings).toEqual(
    new Map([
      ["left: done", 200],
      ["right: done", 200],
    ]),
  );
});

test.each([0, 3, 50])("a failure replays from what its message says, from seed %i on", (first) => {
  const failure = failureOf(() => runRivals(counters(false), plan(200, { first })));
  const environment = environmentOf(failure.message);
  expect(environment).toEqual({ HETMEM_SEED: `${failure.seed}`, HETMEM_SCHEDULES: "1" });
  const replayed = failureOf(() => runRivals(counters(false), rivalsPlan(environment)));
  expect(replayed.message).toBe(failure.message);
  expect(replayed.schedule).toEqual(failure.schedule);
});

test("a recorded order ends as it did", () => {
  const failure = failureOf(() => runRivals(counters(false), plan(200)));
  const replayed = failureOf(() => replaySchedule(counters(false), failure.seed, failure.schedule));
  expect(replayed.message).toBe(failure.message);
});

test("rivals that keep something from machine to machine are found: their failures would not replay", () => {
  let kept = 0;
  const rivals = () => ({
    kernel: createKernel(),
    tasks: {
      *grows(): Sleeps<void> {
        for (let i = kept++; i > 0; i--) yield condResched;
      },
    },
    ...NOTHING,
  });
  expect(() => runRivals(rivals, plan(3))).toThrow(/seed 2 doesn't replay.*3 steps before, 4 now/);
});

test("a number is so many schedules from seed 0 on", () => {
  expect(runRivals(counters(true), 20)).toMatchObject({
    schedules: 20,
    endings: new Map([
      ["left: done", 20],
      ["right: done", 20],
    ]),
  });
  expect(() => runRivals(counters(false), 200)).toThrow(ScheduleFailure);
});

test("each schedule has a machine of its own, and the last one two: it must replay", () => {
  const made: number[] = [];
  const make: MakeScenario = (seed) => {
    made.push(seed);
    return { kernel: createKernel(), tasks: {}, ...NOTHING };
  };
  runRivals(make, plan(4, { first: 10 }));
  expect(made).toEqual([10, 11, 12, 13, 13]);
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
      ...NOTHING,
    }),
    plan(10),
  );
  expect(report.endings).toEqual(
    new Map([
      ["refused: EBUSY", 10],
      ["other: done", 10],
    ]),
  );
});

test("an ending that is never met fails, named, where the plan is complete", () => {
  const calm = counters(true);
  const endings = ["left: EBUSY", "right: done"];
  expect(runRivals(calm, plan(20), endings).schedules).toBe(20);
  expect(() => runRivals(calm, plan(20, { complete: true }), endings)).toThrow(
    /ended in "left: EBUSY":.*left: done \(20\)/,
  );
});

test("a task that never succeeds fails without being named", () => {
  const hopeless = () => ({
    kernel: createKernel(),
    // eslint-disable-next-line require-yield
    tasks: {
      *task(): Sleeps<void> {
        yield condResched;
        throw new KernelError("EIO", "always");
      },
    },
    ...NOTHING,
  });
  expect(() => runRivals(hopeless, plan(5, { complete: true }))).toThrow(/ended in "task: done"/);
});

test("an invariant that breaks between two steps is reported with the schedule that led there", () => {
  const scenario: MakeScenario = () => {
    let inside = 0;
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
  expect(() => runRivals(scenario, plan(50))).toThrow(/two tasks are inside[\s\S]*replay with HETMEM_SEED/);
});

test("a plan comes from the environment: 2,000 schedules, which cases share, from a seed on", () => {
  expect(rivalsPlan({})).toEqual({ first: 0, schedules: 2000, complete: true });
  expect(rivalsPlan({}, 3)).toMatchObject({ schedules: 667, complete: true });
  expect(rivalsPlan({ HETMEM_SCHEDULES: "100", HETMEM_SEED: "7" })).toMatchObject({
    first: 7,
    schedules: 100,
    complete: false,
  });
  expect(() => rivalsPlan({ HETMEM_SCHEDULES: "many" })).toThrow(/HETMEM_SCHEDULES is "many"/);
});

test("bodies take turns by their seed, and a name that nobody has is refused", () => {
  const bodies = { a: 1, b: 2 };
  expect([0, 1, 2].map((seed) => byTurns(bodies, seed))).toEqual([
    ["a", 1],
    ["b", 2],
    ["a", 1],
  ]);
  expect(() => byTurns({}, 0)).toThrow(KernelBug);
  expect(onlyNamed(bodies, ["b"])).toEqual({ b: 2 });
  expect(() => onlyNamed(bodies, ["c"])).toThrow(/"c": there are a, b/);
});

test("an error of a task that is no KernelError fails its schedule at once, whatever the other tasks would do", () => {
  let stepsAfter = 0;
  const rivals: MakeScenario = () => ({
    ...NOTHING,
    kernel: createKernel(),
    tasks: {
      *broken(): Sleeps<void> {
        yield condResched;
        throw new KernelBug("a page is put once too often");
      },
    },
    afterStep: () => {
      stepsAfter++;
    },
  });
  expect(failureOf(() => runRivals(rivals, 1)).message).toMatch(/^seed 0 fails .* put once too often\n/);
  expect(stepsAfter).toBe(1);
});

test("the steps of all schedules are counted together", () => {
  const rivals: MakeScenario = () => ({
    ...NOTHING,
    kernel: createKernel(),
    tasks: {
      *only(): Sleeps<void> {
        yield condResched;
      },
    },
  });
  expect(runRivals(rivals, 3).steps).toBe(3 * runRivals(rivals, 1).steps);
});
