// What a device has written is marked dirty, wherever the page is: else reclaim drops it, with all counts in order.
import { run } from "@hetmem/kernel";
import { exitProcess, forkProcess, Madv, mprotect, munmap, type Process, Prot } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { expect, test } from "vitest";
import { DmirrorProt } from "../src/driver/index.ts";
import type { GpuContext } from "../src/index.ts";
import {
  at,
  BASE,
  cpuRead,
  cpuWrite,
  type GpuMachine,
  gpuMachine,
  gpuWrite,
  mapAnon,
  mapShared,
  MEMORY_TYPES,
  pageAt,
} from "@hetmem/test-machines/gpu-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

/** The page of a memfd that every process of a case shares. */
const SHARED = at(8);
/** Pages of a huge one. */
const HUGE_PAGES = 512;

function machineWithSwap(memoryType: "private" | "coherent" = "private", gpus = 1): GpuMachine {
  const machine = gpuMachine({ memoryType, gpus });
  swapSpace(machine.vm).swapon({ path: "/dev/swap", size: 2 * 1024 * 1024 });
  return machine;
}

/** Reclaim takes a page from the process, and the cpu reads its first byte again. */
function afterReclaim(machine: GpuMachine, process: Process, address = BASE): number | string {
  // Twice: a page of MADV_FREE that turns out to be dirty needs swap space first.
  for (let i = 0; i < 2; i++) run(madvise(mmOf(process), address, PAGE, Madv.PAGEOUT));
  machine.check();
  const { pageTable } = mmOf(process);
  expect(pageTable.flags(pageTable.find(address)) & Pte.present, "the page is still there").toBe(0);
  return cpuRead(process, address);
}

test("a page in shared memory that the process has only read is written to swap with what the device wrote", () => {
  const machine = machineWithSwap();
  const process = machine.spawn();
  mapShared(process);
  expect(cpuRead(process, SHARED)).toBe(0);
  expect(gpuWrite(machine.open(process), SHARED, 9)).toBe("done");
  expect(afterReclaim(machine, process, SHARED)).toBe(9);
});

test("a page that MADV_FREE gave up is not dropped when the device has written to it since", () => {
  const machine = machineWithSwap();
  const process = machine.spawn();
  mapAnon(process, 1);
  cpuWrite(process, BASE, 1);
  const context = machine.open(process);
  run(madvise(mmOf(process), BASE, PAGE, Madv.FREE));
  expect(gpuWrite(context, BASE, 9)).toBe("done");
  expect(afterReclaim(machine, process)).toBe(9);
});

test("a huge page that MADV_FREE gave up is not dropped when the device has written to a part of it", () => {
  const machine = machineWithSwap();
  machine.vm.tunables.transparentHugepage = "always";
  const process = machine.spawn();
  mapAnon(process, HUGE_PAGES);
  cpuWrite(process, BASE, 1);
  const context = machine.open(process);
  expect((run(context.snapshot(BASE, PAGE))[0] as number) & DmirrorProt.pmd).toBe(DmirrorProt.pmd);
  const advise = (advice: number): void => run(madvise(mmOf(process), BASE, HUGE_PAGES * PAGE, advice));
  advise(Madv.FREE);
  expect(gpuWrite(context, at(3), 9)).toBe("done");
  for (let i = 0; i < 2; i++) advise(Madv.PAGEOUT);
  machine.check();
  expect(cpuRead(process, at(3))).toBe(9);
});

test("a clean page of the swap cache that the device writes to is written to swap again", () => {
  const machine = machineWithSwap();
  const process = machine.spawn();
  inSwapCache(machine, process);
  expect(gpuWrite(machine.open(process), BASE, 9)).toBe("done");
  expect(afterReclaim(machine, process)).toBe(9);
});

test("a clean page of the swap cache that the device has had for itself is written to swap again", () => {
  const machine = machineWithSwap();
  const process = machine.spawn();
  inSwapCache(machine, process);
  const context = machine.open(process);
  run(context.atomicAdd(BASE, 4));
  expect(cpuRead(process, BASE)).toBe(5);
  expect(afterReclaim(machine, process)).toBe(5);
});

for (const memoryType of MEMORY_TYPES) {
  test(`what MADV_FREE gave up, and the device wrote in ${memoryType} memory of its own, survives the way back`, () => {
    const machine = machineWithSwap(memoryType);
    const process = machine.spawn();
    mapAnon(process, 1);
    cpuWrite(process, BASE, 1);
    const context = machine.open(process);
    run(madvise(mmOf(process), BASE, PAGE, Madv.FREE));
    expect(run(context.migrateTo(BASE, PAGE))).toBe(1);
    expect(gpuWrite(context, BASE, 9)).toBe("done");
    expect(run(context.migrateBack(BASE, PAGE))).toBe(1);
    expect(afterReclaim(machine, process)).toBe(9);
  });
}

test("what the device has written is known of whoever takes the device's entry away", () => {
  const ways: Record<string, (world: World) => void> = {
    munmap: ({ process }) => void run(munmap(mmOf(process), SHARED, PAGE)),
    mprotect: ({ process }) => void run(mprotect(mmOf(process), SHARED, PAGE, Prot.READ)),
    exit: ({ process }) => void run(exitProcess(process)),
    "a close of the mirror": ({ context }) => run(context.close()),
    "a reset of the device": ({ machine }) => void run(machine.gpu.reset()),
    "the end of the device": ({ machine }) => void machine.gpu.fallOff(),
    "an entry over it": ({ context }) => void run(context.read(at(7), new Uint8Array(2 * PAGE))),
  };
  for (const [way, take] of Object.entries(ways)) {
    const world = sharedWorld();
    take(world);
    // A page that two processes map isn't paged out.
    if (world.process.mm) run(exitProcess(world.process));
    expect(afterReclaim(world.machine, world.other, SHARED), way).toBe(9);
  }
});

test("what the device has read only stays clean", () => {
  const machine = machineWithSwap();
  const process = machine.spawn();
  mapShared(process);
  cpuRead(process, SHARED);
  const page = pageAt(process, SHARED);
  machine.vm.memmap.clear(page, PageFlag.dirty);
  const context = machine.open(process);
  run(context.read(SHARED, new Uint8Array(1)));
  run(context.close());
  expect(machine.vm.memmap.test(page, PageFlag.dirty)).toBe(false);
});

interface World {
  readonly machine: GpuMachine;
  readonly process: Process;
  /** Maps the same page of shared memory, and doesn't know of the device. */
  readonly other: Process;
  readonly context: GpuContext;
}

/** Two processes have read a page of shared memory, and the device has written to it for one of them. */
function sharedWorld(): World {
  const machine = machineWithSwap();
  const process = machine.spawn();
  mapAnon(process, 8);
  mapShared(process);
  const other = run(forkProcess(process));
  for (const each of [process, other]) cpuRead(each, SHARED);
  const context = machine.open(process);
  expect(gpuWrite(context, SHARED, 9)).toBe("done");
  return { machine, process, other, context };
}

/** A page that was read back from swap, and is in its cache: clean. */
function inSwapCache(machine: GpuMachine, process: Process): void {
  mapAnon(process, 1);
  cpuWrite(process, BASE, 1);
  expect(afterReclaim(machine, process)).toBe(1);
  const { memmap } = machine.vm;
  const page = pageAt(process, BASE);
  expect([PageFlag.swapcache, PageFlag.dirty].map((flag) => memmap.test(page, flag))).toEqual([true, false]);
}
