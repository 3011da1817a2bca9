// The device is reset, or falls off the bus: what is lost, who pays, and who doesn't.
import { type Page, run, Scheduler, type Sleeps } from "@hetmem/kernel";
import { exitProcess, forkProcess, munmap } from "@hetmem/mm";
import { memoryFailureDevPagemap } from "@hetmem/memremap";
import { expect, test } from "vitest";
import {
  at,
  BASE,
  cpuRead,
  cpuWrite,
  type GpuMachine,
  gpuMachine,
  gpuRead,
  gpuWrite,
  mapAnon,
  MEMORY_TYPES,
  pageAt,
} from "@hetmem/test-machines/gpu-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

function withPagesOnDevice(machine: GpuMachine, pages = 2) {
  const process = machine.spawn();
  mapAnon(process, 4);
  for (let i = 0; i < 4; i++) cpuWrite(process, at(i), i + 1);
  const context = machine.open(process);
  run(context.migrateTo(BASE, pages * PAGE));
  return { process, context };
}

function* resetAfter({ gpu, kernel }: GpuMachine, ns: number): Sleeps<number> {
  yield* kernel.clock.sleep(ns);
  return yield* gpu.reset();
}

function dmesg({ kernel }: GpuMachine): string[] {
  return kernel.log.records.map(({ text }) => text);
}

test("a reset loses what is in private memory: a touch is SIGBUS, a use by the device EIO, and the log says how much", () => {
  const machine = gpuMachine();
  const { process, context } = withPagesOnDevice(machine);
  expect(run(machine.gpu.reset())).toBe(2);
  expect(dmesg(machine)).toContain("gpu0: reset, 2 pages of memory are lost");
  expect(gpuRead(context, at(0))).toBe("EIO");
  expect(cpuRead(process, at(0))).toBe("BUS_ADRERR");
  expect(cpuWrite(process, at(1), 1)).toBe("BUS_ADRERR");
  machine.check();
});

test("a reset loses nothing else: not what is elsewhere, nor what was evicted before, nor what comes later", () => {
  const machine = gpuMachine();
  const { process, context } = withPagesOnDevice(machine);
  run(machine.gpu.evict(2));
  expect(run(machine.gpu.reset())).toBe(0);
  for (let i = 0; i < 4; i++) expect(gpuRead(context, at(i))).toBe(i + 1);
  run(context.migrateTo(BASE, 4 * PAGE));
  for (let i = 0; i < 4; i++) expect(gpuRead(context, at(i))).toBe(i + 1);
  expect(cpuRead(process, at(3))).toBe(4);
  machine.check();
});

test("lost pages can be given up: their frames are handed out again, with nothing in them", () => {
  const machine = gpuMachine({ pages: 2 });
  const { process, context } = withPagesOnDevice(machine);
  run(machine.gpu.reset());
  expect(outcome(() => run(machine.gpu.releaseMemory()))).toBe("EBUSY");
  expect(run(machine.gpu.evict(2))).toBe(0);
  run(munmap(mmOf(process), BASE, 2 * PAGE));
  expect(machine.gpu.memory.freePages).toBe(2);
  run(context.migrateTo(at(2), 2 * PAGE));
  expect([gpuRead(context, at(2)), gpuRead(context, at(3))]).toEqual([3, 4]);
  machine.check();
});

test("only processes with pages on a dead device pay, and those only for them", () => {
  const machine = gpuMachine();
  const { process, context } = withPagesOnDevice(machine);
  const other = machine.spawn();
  mapAnon(other, 1);
  cpuWrite(other, at(0), 77);
  const child = run(forkProcess(process));
  expect(machine.gpu.fallOff()).toBe(2);
  expect(machine.gpu.fallOff()).toBe(0);
  expect(dmesg(machine)).toContain("gpu0: fell off the bus, 2 pages of memory are lost");
  machine.check();
  expect([cpuRead(process, at(0)), cpuRead(child, at(1))]).toEqual(["BUS_ADRERR", "BUS_ADRERR"]);
  expect([cpuRead(process, at(2)), cpuRead(child, at(3)), cpuRead(other, at(0))]).toEqual([3, 4, 77]);
  expect([gpuRead(context, at(2)), outcome(() => run(context.migrateBack(BASE, PAGE)))]).toEqual([
    "ENODEV",
    "ENODEV",
  ]);
  expect(outcome(() => machine.open(other))).toBe("ENODEV");
  expect(outcome(() => run(machine.gpu.remove()))).toBe("ENODEV");
  for (const each of [process, child]) run(exitProcess(each));
  run(machine.gpu.remove());
  expect(machine.pagemaps.mapped()).toEqual([]);
  machine.check();
});

test("coherent memory survives a reset; when it falls off the bus it reads as ones", () => {
  const machine = gpuMachine({ memoryType: "coherent" });
  const { process, context } = withPagesOnDevice(machine);
  expect(run(machine.gpu.reset())).toBe(0);
  expect([cpuRead(process, at(0)), gpuRead(context, at(1))]).toEqual([1, 2]);
  machine.gpu.fallOff();
  expect([cpuRead(process, at(0)), cpuRead(process, at(2))]).toEqual([0xff, 3]);
  machine.check();
});

test("a copy that a reset hits has failed: pages on their way out are lost, those on their way in stay where they were", () => {
  const machine = gpuMachine({ latency: { setupNs: 1000, kibNs: 0, flushNs: 0 } });
  const { process, context } = withPagesOnDevice(machine);
  const scheduler = new Scheduler(machine.kernel, () => 0);
  const way = scheduler.spawn("way", context.migrateTo(at(2), PAGE));
  const back = scheduler.spawn("back", context.migrateBack(at(0), PAGE));
  const reset = scheduler.spawn("reset", resetAfter(machine, 500));
  scheduler.runAll();
  expect([way.result, back.result, reset.result]).toEqual([0, 0, 3]);
  expect([cpuRead(process, at(2)), cpuRead(process, at(0))]).toEqual([3, "BUS_ADRERR"]);
  expect(machine.gpu.memory.usedPages).toBe(2);
  machine.check();
});

for (const memoryType of MEMORY_TYPES) {
  test(`a bad frame of ${memoryType} memory is SIGBUS for the cpu, an error for the device, and handed out to nobody`, () => {
    const machine = gpuMachine({ memoryType, pages: 4 });
    const { process, context } = withPagesOnDevice(machine);
    const child = run(forkProcess(process));
    fail(machine, pageAt(process, at(1)));
    const signal = memoryType === "private" ? "BUS_ADRERR" : "BUS_MCEERR_AR";
    expect([process, child].map((each) => cpuRead(each, at(1)))).toEqual([signal, signal]);
    expect(cpuWrite(process, at(1), 1)).toBe(signal);
    expect(gpuRead(context, at(1))).toBe(memoryType === "private" ? "EIO" : "EFAULT");
    expect([cpuRead(process, at(0)), gpuRead(context, at(0))]).toEqual([1, 1]);
    machine.check();
    for (const each of [process, child]) run(munmap(mmOf(each), at(1), PAGE));
    run(context.migrateTo(at(0), PAGE));
    machine.check();
    const { memory } = machine.gpu;
    expect(memory.freePages + memory.usedPages).toBe(3);
    for (const each of [process, child]) run(exitProcess(each));
    run(machine.gpu.releaseMemory());
    run(memory.plug());
    expect([memory.freePages, memory.usedPages]).toEqual([3, 0]);
    machine.check();
  });

  test(`a free frame of ${memoryType} memory that goes bad is handed out to nobody`, () => {
    const machine = gpuMachine({ memoryType, pages: 2 });
    fail(machine, machine.gpu.memory.pageOf(0));
    fail(machine, machine.gpu.memory.pageOf(0));
    const process = machine.spawn();
    mapAnon(process, 2);
    cpuWrite(process, at(0), 1);
    cpuWrite(process, at(1), 2);
    expect(run(machine.open(process).migrateTo(at(0), 2 * PAGE))).toBe(1);
    expect(machine.gpu.memory.isUsed(0)).toBe(false);
    machine.check();
  });
}

/** The memory of a page goes bad. */
function fail({ pagemaps, vm }: GpuMachine, page: Page): void {
  run(memoryFailureDevPagemap(pagemaps, vm.memmap.pageToPfn(page), undefined));
}

test("memory of the device that goes bad is its driver's business: its page is lost, and no other", () => {
  const machine = gpuMachine();
  const { process, context } = withPagesOnDevice(machine);
  const frame = machine.vm.memmap.pageToPfn(pageAt(process, at(1)));
  expect(run(memoryFailureDevPagemap(machine.pagemaps, frame, undefined))).toBe(true);
  expect([
    gpuRead(context, at(0)),
    gpuRead(context, at(1)),
    cpuRead(process, at(1)),
    cpuRead(process, at(0)),
  ]).toEqual([1, "EIO", "BUS_ADRERR", 1]);
  expect(gpuWrite(context, at(1), 1)).toBe("EIO");
  machine.check();
});
