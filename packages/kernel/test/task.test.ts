import { describe, expect, test } from "vitest";
import {
  SimulatedClock,
  condResched,
  KernelBug,
  KernelError,
  run,
  type Sleeps,
  WaitQueue,
} from "../src/index.ts";

describe("run", () => {
  test("drives a task through its yields to its value", () => {
    expect(run(fortyTwo())).toBe(42);
  });

  test("lets an expected failure through", () => {
    expect(() => run(failing())).toThrow(expect.objectContaining({ errno: "EIO" }));
  });

  test("a wait that nobody is there to end is a bug that names it", () => {
    expect(() => run(new WaitQueue("page writeback").waitEvent(() => false))).toThrow(KernelBug);
    expect(() => run(new WaitQueue("page writeback").waitEvent(() => false))).toThrow(
      "waits for page writeback",
    );
  });

  test("a sleep ends by the clock moving to its timer", () => {
    const clock = new SimulatedClock();
    run(clock.sleep(250));
    expect(clock.nowNs).toBe(250);
  });
});

function* fortyTwo(): Sleeps<number> {
  const a = yield* twenty();
  yield condResched;
  return a + (yield* twenty()) + 2;
}

function* twenty(): Sleeps<number> {
  yield condResched;
  return 20;
}

function* failing(): Sleeps<void> {
  yield condResched;
  throw new KernelError("EIO", "the medium is bad");
}
