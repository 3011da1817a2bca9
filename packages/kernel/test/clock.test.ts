import { describe, expect, test } from "vitest";
import { SimulatedClock, run } from "../src/index.ts";

describe("clock", () => {
  test("starts at boot and moves only when told", () => {
    const clock = new SimulatedClock();
    expect(clock.nowNs).toBe(0);
    clock.advance(1500);
    clock.advance(500);
    expect(clock.nowNs).toBe(2000);
  });

  test("a sleep counts from when it began", () => {
    const clock = new SimulatedClock();
    clock.advance(1000);
    run(clock.sleep(500));
    expect(clock.nowNs).toBe(1500);
  });

  test("a sleep whose time has passed meanwhile does not turn the clock back", () => {
    const clock = new SimulatedClock();
    const sleep = clock.sleep(100);
    const wait = sleep.next().value;
    clock.advance(300);
    wait?.timer?.expire();
    expect(clock.nowNs).toBe(300);
    expect(wait?.ready()).toBe(true);
    expect(sleep.next().done).toBe(true);
  });

  test("a sleep of no time does not yield", () => {
    expect(new SimulatedClock().sleep(0).next().done).toBe(true);
  });
});
