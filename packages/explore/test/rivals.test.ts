import { condResched, createKernel, KernelBug, KernelError, Mutex, type Sleeps } from "@hetmem/kernel";
import { expect, test } from "vitest";
import {
  byTurns,
  freshMachines,
  type MakeScenario,
  onlyNamed,
  replaySchedule,
  type Rivals,
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

/** A machine that is worn out by its rounds: at some depth of rounds, and in some orders only, it breaks. */
function wornOut(rounds: number): Rivals {
  return {
    rounds,
    endings: [],
    machine: (made) => {
      const kernel = createKernel();
      let wear = made % 7;
      return (seed) => {
        const order: string[] = [];
        function* task(name: string): Sleeps<void> {
          for (let i = 0; i < 3; i++) {
            order.push(name);
            wear += order.filter((one) => one === "a").length;
            yield condResched;
          }
        }
        return {
          kernel,
          tasks: { a: () => task("a"), b: () => task("b") },
          afterStep: () => {
            if (wear > 45 && order.at(-1) === "b") throw new KernelBug(`worn out at seed ${seed}: ${wear}`);
          },
          afterwards: () => {},
        };
      };
    },
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

/** What somebody sets who copies the message's line. */
function environmentOf(message: string): Record<string, string> {
  const pairs = [...message.matchAll(/(HETMEM_[A-Z]+)=(\d+)/g)];
  return Object.fromEntries(pairs.map(([, name = "", value = ""]) => [name, value]));
}

test("a lost update is found", () => {
  expect(() => runRivals(freshMachines(counters(false)), plan(50))).toThrow(ScheduleFailure);
});

test("a lock that prevents the lost update holds under every schedule tried", () => {
  expect(runRivals(freshMachines(counters(true)), plan(200)).endings).toEqual(
    new Map([
      ["left: done", 200],
      ["right: done", 200],
    ]),
  );
});

test.each([1, 5, 50])(
  "a failure replays from what its message says, where a machine serves %i rounds",
  (rounds) => {
    for (const first of [0, 3, 50]) {
      const rivals = rounds === 1 ? freshMachines(counters(false)) : wornOut(rounds);
      const failure = failureOf(() => runRivals(rivals, plan(200, { first })));
      const environment = environmentOf(failure.message);
      expect(Object.keys(environment)).toEqual(["HETMEM_SEED", "HETMEM_ROUND"]);
      if (rounds > 1) expect(failure.at.round).toBeGreaterThan(0);
      const replayed = failureOf(() => runRivals(rivals, rivalsPlan(environment)));
      expect(replayed.message).toBe(failure.message);
      expect(replayed.schedule).toEqual(failure.schedule);
    }
  },
);

test("a recorded order of a round runs behind the rounds before it, and ends as it did", () => {
  const failure = failureOf(() => runRivals(wornOut(50), plan(200)));
  const replayed = failureOf(() => replaySchedule(wornOut(50), failure.at, failure.schedule));
  expect(replayed.message).toBe(failure.message);
});

test("rivals that keep something from machine to machine are found: their failures would not replay", () => {
  let kept = 0;
  const rivals = freshMachines(() => ({
    kernel: createKernel(),
    tasks: {
      *grows(): Sleeps<void> {
        for (let i = kept++; i > 0; i--) yield condResched;
      },
    },
    ...NOTHING,
  }));
  expect(() => runRivals(rivals, plan(3))).toThrow(/round 0 doesn't replay.*3 steps before, 4 now/);
});

test("a round that no machine serves is refused", () => {
  expect(() => runRivals(wornOut(5), plan(1, { round: 5 }))).toThrow(/serves 5 rounds .* no round 5/);
});

test("a function and a number are so many scenarios, each on a machine of its own", () => {
  expect(runRivals(counters(true), 20)).toMatchObject({
    schedules: 20,
    endings: new Map([
      ["left: done", 20],
      ["right: done", 20],
    ]),
  });
  expect(() => runRivals(counters(false), 200)).toThrow(ScheduleFailure);
});

test("a machine is made anew after its rounds, and hears the seeds from its own on", () => {
  const made: [number, number[]][] = [];
  const rivals: Rivals = {
    rounds: 3,
    endings: [],
    machine: (seed) => {
      const seeds: number[] = [];
      made.push([seed, seeds]);
      return (own) => {
        seeds.push(own);
        return { kernel: createKernel(), tasks: {}, ...NOTHING };
      };
    },
  };
  runRivals(rivals, plan(4, { first: 10 }));
  expect(made).toEqual([
    [10, [10, 11, 12]],
    [13, [13]],
    // The last one once more: its rounds must replay.
    [13, [13]],
  ]);
});

test("an errno ends its task and no other, and is counted", () => {
  const report = runRivals(
    freshMachines(() => ({
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
    })),
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
  const calm = freshMachines(counters(true), ["left: EBUSY", "right: done"]);
  expect(runRivals(calm, plan(20)).schedules).toBe(20);
  expect(() => runRivals(calm, plan(20, { complete: true }))).toThrow(
    /ended in "left: EBUSY":.*left: done \(20\)/,
  );
});

test("a task that never succeeds fails without being named", () => {
  const hopeless = freshMachines(() => ({
    kernel: createKernel(),
    // eslint-disable-next-line require-yield
    tasks: {
      *task(): Sleeps<void> {
        yield condResched;
        throw new KernelError("EIO", "always");
      },
    },
    ...NOTHING,
  }));
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
  expect(() => runRivals(freshMachines(scenario), plan(50))).toThrow(
    /two tasks are inside[\s\S]*replay with HETMEM_SEED/,
  );
});

test("a plan comes from the environment: 2,000 schedules, which cases share, or one replay", () => {
  expect(rivalsPlan({})).toEqual({ first: 0, schedules: 2000, round: undefined, complete: true });
  expect(rivalsPlan({}, 3)).toMatchObject({ schedules: 667, complete: true });
  expect(rivalsPlan({ HETMEM_SCHEDULES: "100", HETMEM_SEED: "7" })).toMatchObject({
    first: 7,
    schedules: 100,
    complete: false,
  });
  expect(rivalsPlan({ HETMEM_SEED: "50", HETMEM_ROUND: "3" })).toMatchObject({
    first: 50,
    round: 3,
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
