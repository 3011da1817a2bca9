// Notifiers that come, go, or refuse while other tasks change the same address space.
import { condResched, run, virtAddr } from "@hetmem/kernel";
import type { MmStruct, Process } from "@hetmem/mm";
import { withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { beforeEach, expect, test } from "vitest";
import { invalidateRangeEnd, invalidateRangeStart, invalidateRangeStartNonblock } from "../src/invalidate.ts";
import { type MmuNotifierRange, MmuNotifyEvent } from "../src/range.ts";
import { mmuNotifierRegister, mmuNotifierRelease, mmuNotifierUnregister } from "../src/register.ts";
import { MmuNotifier, type MmuNotifierOps } from "../src/subscriptions.ts";

let process: Process;
let mm: MmStruct;
let range: MmuNotifierRange;

beforeEach(() => {
  process = vmMachine().spawn();
  mm = mmOf(process);
  range = { mm, start: virtAddr(0x10_0000), end: virtAddr(0x20_0000), event: MmuNotifyEvent.Unmap };
});

function register(ops: MmuNotifierOps): MmuNotifier {
  const notifier = new MmuNotifier(ops, undefined);
  run(mmuNotifierRegister(notifier, mm));
  return notifier;
}

test("a notifier that is unregistered while another's callback sleeps hears neither the start nor the end", () => {
  const heard: string[] = [];
  const leaving = register({
    *invalidateRangeStart() {
      heard.push("start");
      return true;
    },
    *invalidateRangeEnd() {
      heard.push("end");
    },
  });
  register({
    *invalidateRangeStart() {
      yield condResched;
      return true;
    },
  });
  const start = invalidateRangeStart(range);
  start.next();
  const leave = mmuNotifierUnregister(leaving, mm);
  expect(leave.next().value).toMatchObject({ why: "readers of srcu" });
  run(start);
  run(leave);
  run(invalidateRangeEnd(range));
  expect(heard).toEqual([]);
});

test("a notifier that is unregistered while another's end callback sleeps doesn't hear the end", () => {
  const heard: string[] = [];
  const leaving = register({
    *invalidateRangeEnd() {
      heard.push("end");
    },
  });
  register({
    *invalidateRangeEnd() {
      yield condResched;
    },
  });
  run(invalidateRangeStart(range));
  const end = invalidateRangeEnd(range);
  end.next();
  const leave = mmuNotifierUnregister(leaving, mm);
  leave.next();
  run(end);
  run(leave);
  expect(heard).toEqual([]);
});

test("an invalidation that a notifier refused covers no change", () => {
  register({
    *invalidateRangeStart() {
      return false;
    },
  });
  expect(invalidateRangeStartNonblock(range)).toBe(false);
  expect(mm.notifiers?.describeActive()).toBe("none");
});

test("the end of an address space waits for a release that an unregistration has begun", () => {
  let releases = 0;
  const notifier = register({
    *release() {
      if (releases++ === 0) yield condResched;
    },
  });
  const leave = mmuNotifierUnregister(notifier, mm);
  leave.next();
  const exit = mmuNotifierRelease(mm);
  expect(exit.next().value).toMatchObject({ why: "readers of srcu" });
  run(leave);
  run(exit);
  expect([releases, notifier.listed]).toEqual([2, false]);
});

test("all locks of an address space are free again when a notifier has been registered", () => {
  withMemory(process, 1);
  write(process, 0, "x");
  register({});
  const [vma] = mm.vmas;
  expect(vma?.anonVma?.rwsem.tryDownRead()).toBe(true);
});
