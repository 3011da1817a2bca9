import { describe, expect, test } from "vitest";
import {
  Completion,
  condResched,
  createKernel,
  run,
  Scheduler,
  seededChoice,
  type Sleeps,
  WaitQueue,
} from "../src/index.ts";

describe("wait queue", () => {
  test("goes on at once when the condition holds", () => {
    expect(new WaitQueue("q").waitEvent(() => true).next().done).toBe(true);
  });

  test("waits until somebody makes the condition true, and is active meanwhile", () => {
    const kernel = createKernel();
    const queue = new WaitQueue("page writeback");
    let isClean = false;
    const scheduler = new Scheduler(kernel, seededChoice(0));
    const waiter = scheduler.spawn(
      "waiter",
      queue.waitEvent(() => isClean),
    );
    scheduler.step();
    expect([queue.active, waiter.runnable]).toEqual([true, false]);
    isClean = true;
    scheduler.runAll();
    expect([queue.active, waiter.state.kind]).toEqual([false, "done"]);
  });

  test("forgets a waiter that is torn down", () => {
    const queue = new WaitQueue("q");
    const waiter = queue.waitEvent(() => false);
    waiter.next();
    waiter.return();
    expect(queue.active).toBe(false);
  });
});

describe("completion", () => {
  test.each([0, 1, 2, 3, 4])("lets one waiter through for each complete() (seed %i)", (seed) => {
    const kernel = createKernel();
    const completion = new Completion("probe");
    let through = 0;
    function* waiter(): Sleeps<void> {
      yield* completion.wait();
      through++;
    }
    const scheduler = new Scheduler(kernel, seededChoice(seed));
    for (const name of ["a", "b", "c"]) scheduler.spawn(name, waiter());
    scheduler.spawn(
      "completer",
      twice(() => completion.complete()),
    );
    expect(() => scheduler.runAll()).toThrow(/waits for completion probe/);
    expect([through, completion.done]).toEqual([2, false]);
  });

  test("complete_all lets everybody through, now and later, until it is made anew", () => {
    const completion = new Completion("probe");
    completion.completeAll();
    run(completion.wait());
    run(completion.wait());
    expect(completion.done).toBe(true);
    completion.reinit();
    expect(completion.done).toBe(false);
  });

  test("a complete() that comes first is not lost", () => {
    const completion = new Completion("probe");
    completion.complete();
    run(completion.wait());
    expect(completion.done).toBe(false);
  });
});

function* twice(act: () => void): Sleeps<void> {
  act();
  yield condResched;
  act();
}
