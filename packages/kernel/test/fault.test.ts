import { describe, expect, test } from "vitest";
import { type FaultAttributes, FaultInjection, FaultPoint, KernelError } from "../src/index.ts";

/** Which of the first calls fail, "x" for each that does. */
function pattern(attributes: FaultAttributes, calls: number): string {
  const point = new FaultPoint("fail_page_alloc");
  point.arm(attributes);
  return Array.from({ length: calls }, () => (point.shouldFail() ? "x" : ".")).join("");
}

describe("fault points", () => {
  test.each([
    ["every call, at 100 percent", { probability: 100 }, "xxxxxx"],
    ["no call, at 0 percent", { probability: 0 }, "......"],
    ["every third call", { probability: 100, interval: 3 }, "..x..x"],
    ["calls after the first two", { probability: 100, space: 2 }, "..xxxx"],
    ["every second call after the first", { probability: 100, space: 1, interval: 2 }, "..x.x."],
    ["so many times and no more", { probability: 100, times: 2 }, "xx...."],
    [
      "the third call alone: how a test tries each of them",
      { probability: 100, space: 2, times: 1 },
      "..x...",
    ],
  ])("fail %s", (_, attributes, expected) => {
    expect(pattern(attributes, 6)).toBe(expected);
  });

  test("fail about as often as they are told, the same calls for the same seed", () => {
    const failures = pattern({ probability: 30, seed: 5 }, 1000).replaceAll(".", "").length;
    expect(failures).toBeGreaterThan(240);
    expect(failures).toBeLessThan(360);
    expect(pattern({ probability: 30, seed: 5 }, 100)).toBe(pattern({ probability: 30, seed: 5 }, 100));
    expect(pattern({ probability: 30, seed: 5 }, 100)).not.toBe(pattern({ probability: 30, seed: 6 }, 100));
  });

  test("never fail until they are armed, nor once they are disarmed", () => {
    const point = new FaultPoint("failslab");
    expect(point.shouldFail()).toBe(false);
    point.arm({ probability: 100 });
    expect([point.armed, point.shouldFail()]).toEqual([true, true]);
    point.disarm();
    expect([point.armed, point.shouldFail()]).toEqual([false, false]);
  });

  test("count calls and failures since they were armed", () => {
    const point = new FaultPoint("failslab");
    for (let round = 0; round < 2; round++) {
      point.arm({ probability: 100, interval: 2 });
      for (let i = 0; i < 5; i++) point.shouldFail();
      expect([point.calls, point.failures]).toEqual([5, 2]);
    }
  });

  test("stand for small allocations, which fail with ENOMEM when it is their turn and never otherwise", () => {
    const point = new FaultPoint("failslab");
    point.alloc("a dax region");
    point.arm({ probability: 100, space: 1 });
    point.alloc("a dax region");
    const refused = expect(() => point.alloc("a dax region"));
    refused.toThrow(KernelError);
    refused.toThrow("ENOMEM: no memory for a dax region (failslab is armed)");
  });

  test("are found by name, made at first use, and disarmed together", () => {
    const faults = new FaultInjection();
    faults.point("failslab").arm({ probability: 100 });
    faults.point("fail_page_alloc").arm({ probability: 100 });
    expect(faults.names()).toEqual(["fail_page_alloc", "failslab"]);
    expect(faults.point("failslab").armed).toBe(true);
    faults.disarmAll();
    expect(faults.names().some((name) => faults.point(name).armed)).toBe(false);
  });
});
