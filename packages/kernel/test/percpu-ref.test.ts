import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createKernel,
  KernelBug,
  PercpuRef,
  run,
  Scheduler,
  seededChoice,
  type Sleeps,
} from "../src/index.ts";

describe("percpu-ref", () => {
  test("starts live with its owner's reference", () => {
    const ref = new PercpuRef("pgmap");
    expect([ref.count, ref.dying, ref.isZero]).toEqual([1, false, false]);
  });

  test("once killed, tryget still gives a reference, tryget_live does not", () => {
    const ref = new PercpuRef("pgmap");
    expect(ref.trygetLive()).toBe(true);
    ref.kill();
    expect([ref.trygetLive(), ref.tryget(), ref.count]).toEqual([false, true, 2]);
  });

  test("once gone, nothing gives a reference", () => {
    const ref = new PercpuRef("pgmap");
    ref.kill();
    expect([ref.isZero, ref.tryget(), ref.trygetLive()]).toEqual([true, false, false]);
    expect(() => ref.get()).toThrow(KernelBug);
  });

  test("takes and gives many references as it does one", () => {
    let releases = 0;
    const ref = new PercpuRef("pgmap", () => void releases++);
    ref.getMany(1000);
    expect(() => ref.putMany(1001)).toThrow(KernelBug);
    ref.kill();
    ref.putMany(999);
    expect([ref.count, releases]).toEqual([1, 0]);
    expect(() => ref.putMany(2)).toThrow(KernelBug);
    ref.putMany(1);
    expect([ref.isZero, releases]).toEqual([true, 1]);
    ref.putMany(0);
    expect(releases).toBe(1);
    expect(() => ref.getMany(5)).toThrow(KernelBug);
  });

  test("releases once, with the last reference after the kill", () => {
    let releases = 0;
    const ref = new PercpuRef("pgmap", () => void releases++);
    ref.get();
    ref.kill();
    expect(releases).toBe(0);
    ref.put();
    expect(releases).toBe(1);
  });

  test("putting the owner's reference without a kill is a bug", () => {
    const ref = new PercpuRef("pgmap");
    expect(() => ref.put()).toThrow("percpu_ref_put of pgmap without a reference");
    expect(ref.count).toBe(1);
  });

  test("killing twice and putting too often are bugs", () => {
    const ref = new PercpuRef("pgmap");
    ref.kill();
    expect(() => ref.kill()).toThrow("twice");
    expect(() => ref.put()).toThrow(KernelBug);
  });

  test("whoever waits for zero goes on when the last user has gone", () => {
    const ref = new PercpuRef("pgmap");
    ref.get();
    ref.kill();
    expect(() => run(ref.waitForZero())).toThrow("waits for the last reference of pgmap");
    const scheduler = new Scheduler(createKernel(), seededChoice(3));
    const waiter = scheduler.spawn("memunmap_pages", ref.waitForZero());
    scheduler.spawn("user", putLater(ref));
    scheduler.runAll();
    expect(waiter.state.kind).toBe("done");
  });

  test("counts as a plain counter would, through any sequence of calls", () => {
    const call = fc.constantFrom("get", "put", "tryget", "trygetLive", "kill");
    fc.assert(
      fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
        let releases = 0;
        const ref = new PercpuRef("pgmap", () => void releases++);
        let users = 0;
        let live = true;
        for (const name of calls) {
          const gone = !live && users === 0;
          if (name === "tryget" || name === "trygetLive") {
            const expected = name === "tryget" ? !gone : live;
            expect(ref[name]()).toBe(expected);
            if (expected) users++;
          } else if (
            (name === "get" && gone) ||
            (name === "put" && users === 0) ||
            (name === "kill" && !live)
          ) {
            expect(() => ref[name]()).toThrow(KernelBug);
          } else {
            ref[name]();
            if (name === "get") users++;
            else if (name === "put") users--;
            else live = false;
          }
          expect(ref.count).toBe(users + (live ? 1 : 0));
          expect(releases).toBe(ref.isZero ? 1 : 0);
        }
      }),
    );
  });
});

function* putLater(ref: PercpuRef): Sleeps<void> {
  yield { why: "cond_resched", ready: () => true };
  ref.put();
}
