import { KernelBug, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { Srcu } from "../src/srcu.ts";

test("who synchronizes waits for the readers that are inside, the last one too, and for none that come later", () => {
  const srcu = new Srcu();
  const reader = srcu.readLock();
  const wait = srcu.synchronize();
  const step = wait.next();
  expect(step.done).toBe(false);
  const later = srcu.readLock();
  expect(step.value?.ready()).toBe(false);
  srcu.readUnlock(reader);
  expect(step.value?.ready()).toBe(true);
  run(wait);
  srcu.readUnlock(later);
});

test("a call comes at once without readers, and else when those that are inside have left", () => {
  const srcu = new Srcu();
  const called: string[] = [];
  srcu.call(() => called.push("at once"));
  const reader = srcu.readLock();
  srcu.call(() => called.push("later"));
  expect(called).toEqual(["at once"]);
  srcu.readUnlock(reader);
  expect(called).toEqual(["at once", "later"]);
});

test("a reader that leaves twice is found", () => {
  const srcu = new Srcu();
  const reader = srcu.readLock();
  srcu.readUnlock(reader);
  expect(() => srcu.readUnlock(reader)).toThrow(KernelBug);
});
