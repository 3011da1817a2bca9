import { run, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { read, readSignal, RW, write } from "@hetmem/test-machines/files";
import { at, BASE, expectSound, layout, mapPages, vmaAt } from "@hetmem/test-machines/mappings";
import { mmOf, ORDINARY, PAGE, vmMachine, type VmMachineOptions } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { exitProcess } from "../src/process/exit.ts";
import type { Process } from "../src/process/process.ts";
import { brk } from "../src/vma/brk.ts";
import { MapFlag, Mcl } from "../src/vma/map-flags.ts";
import { mlock, mlockall } from "../src/vma/mlock.ts";
import { Prot, VmFlag } from "../src/vma/vm-flags.ts";

/** A process whose heap begins at page 0 of the region. */
function withHeap(options: VmMachineOptions = {}): Process {
  const process = vmMachine(options).spawn();
  const mm = mmOf(process);
  mm.startBrk = at(0);
  mm.brk = at(0);
  return process;
}

function moveBreak(process: Process, bytes: number): number {
  return run(brk(mmOf(process), virtAddr(BASE + bytes))) - BASE;
}

test("the heap is one mapping that grows and shrinks with the break", () => {
  const process = withHeap();
  const mm = mmOf(process);
  expect(moveBreak(process, 100)).toBe(100);
  expect(layout(process)).toEqual(["0-1 rw-p"]);
  write(process, BASE + 50, "x");
  expect(moveBreak(process, 3 * PAGE)).toBe(3 * PAGE);
  expect(layout(process)).toEqual(["0-3 rw-p"]);
  write(process, at(2), "y");
  expect([mm.totalVm, mm.dataVm, mm.vm.commit.pages, mm.rssPages]).toEqual([3, 3, 3, 2]);
  expect(moveBreak(process, 10)).toBe(10);
  expect(layout(process)).toEqual(["0-1 rw-p"]);
  expect([mm.vm.commit.pages, mm.rssPages]).toEqual([1, 1]);
  expect(read(process, BASE + 50, 1)).toBe("x");
  expectSound(mm.vm);
});

test("a break that can't be had leaves it where it is, without an error", () => {
  const process = withHeap({ rlimits: { data: 4 * PAGE } });
  moveBreak(process, PAGE);
  expect(moveBreak(process, -PAGE)).toBe(PAGE);
  expect(moveBreak(process, 5 * PAGE)).toBe(PAGE);
  mapPages(process, 3, 1, Prot.READ);
  // A page must stay free between the two.
  expect(moveBreak(process, 3 * PAGE)).toBe(PAGE);
  expect(moveBreak(process, 2 * PAGE)).toBe(2 * PAGE);
});

test("the heap of a process that locks what it will map is brought in", () => {
  const process = withHeap();
  run(mlockall(mmOf(process), Mcl.FUTURE));
  moveBreak(process, 3 * PAGE);
  expect([mmOf(process).rssPages, mmOf(process).lockedVm]).toEqual([3, 3]);
});

test("a stack grows down to where it is touched", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 1000, 2, RW, MapFlag.GROWSDOWN);
  write(process, at(1001), "x");
  write(process, at(990) + 5, "deep");
  expect(layout(process)).toEqual(["990-1002 rw-p"]);
  expect([mm.totalVm, mm.stackVm, vm.commit.pages]).toEqual([12, 12, 12]);
  expect(vmaAt(process, 990).pgoff).toBe(at(990) / PAGE);
  expect(read(process, at(990) + 5, 4)).toBe("deep");
  expectSound(vm);
  run(exitProcess(process));
  expect(vm.commit.pages).toBe(0);
});

test("a stack stays a gap away from what lies below, unless that can't be reached", () => {
  const process = vmMachine().spawn();
  mapPages(process, 1000, 1, RW, MapFlag.GROWSDOWN);
  mapPages(process, 0, 100);
  expect(readSignal(process, at(355))?.code).toBe("SEGV_MAPERR");
  expect(readSignal(process, at(356))).toBe(undefined);
  mapPages(process, 0, 100, Prot.NONE);
  expect(readSignal(process, at(101))).toBe(undefined);
});

test("a stack grows no further than RLIMIT_STACK, RLIMIT_AS and RLIMIT_MEMLOCK let it", () => {
  for (const [rlimits, lock] of [
    [{ stack: 4 * PAGE }, false],
    [{ as: 4 * PAGE }, false],
    [{ memlock: 4 * PAGE }, true],
  ] as const) {
    const process = vmMachine({ rlimits }).spawn();
    process.credentials = ORDINARY;
    mapPages(process, 10, 1, RW, MapFlag.GROWSDOWN);
    if (lock) run(mlock(mmOf(process), at(10), PAGE));
    expect(readSignal(process, at(6))?.code).toBe("SEGV_MAPERR");
    expect(readSignal(process, at(7))).toBe(undefined);
  }
});

test("what isn't a stack doesn't grow", () => {
  const process = vmMachine().spawn();
  mapPages(process, 10, 1);
  expect(readSignal(process, at(9) as VirtAddr)?.code).toBe("SEGV_MAPERR");
  expect(vmaAt(process, 10).flags & VmFlag.GROWSDOWN).toBe(0);
});
