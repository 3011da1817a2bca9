// Pages come to the device and go back, with what is in them, in both kinds of device memory.
import { pinUserPagesRemote, unpinUserPages } from "@hetmem/gup";
import { run } from "@hetmem/kernel";
import { exitProcess, forkProcess, MapFlag, mmap, mprotect, munmap, Prot } from "@hetmem/mm";
import { describe, expect, test } from "vitest";
import {
  at,
  BASE,
  cpuRead,
  cpuWrite,
  gpuMachine,
  gpuRead,
  gpuWrite,
  mapAnon,
  mapShared,
  MEMORY_TYPES,
  pageAt,
} from "@hetmem/test-machines/gpu-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

describe.each(MEMORY_TYPES)("with %s memory", (memoryType) => {
  test("pages move to the device and back, and nobody notices but by their place", () => {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapAnon(process, 8);
    for (let i = 0; i < 6; i++) cpuWrite(process, at(i, i), i + 1);
    const context = machine.open(process);
    expect(run(context.migrateTo(BASE, 8 * PAGE))).toBe(8);
    for (let i = 0; i < 8; i++) expect(machine.gpu.memory.owns(pageAt(process, at(i)))).toBe(true);
    expect(machine.gpu.memory.usedPages).toBe(8);
    for (let i = 0; i < 8; i++) expect(gpuRead(context, at(i, i))).toBe(i < 6 ? i + 1 : 0);
    gpuWrite(context, at(7, 70), 70);
    machine.check();
    expect(run(context.migrateBack(BASE, 8 * PAGE))).toBe(8);
    expect(machine.gpu.memory.usedPages).toBe(0);
    for (let i = 0; i < 6; i++) expect(cpuRead(process, at(i, i))).toBe(i + 1);
    expect(cpuRead(process, at(7, 70))).toBe(70);
    machine.check();
  });

  test("the device reaches what has come to it without a miss", () => {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapAnon(process, 4);
    cpuWrite(process, at(0), 1);
    const context = machine.open(process);
    run(context.migrateTo(BASE, 4 * PAGE));
    expect(run(context.write(BASE, new Uint8Array(4 * PAGE))).faults).toBe(0);
    machine.check();
  });

  test("a touch of the cpu ends well, in private memory by a way back", () => {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapAnon(process, 2);
    const context = machine.open(process);
    run(context.migrateTo(BASE, 2 * PAGE));
    gpuWrite(context, at(0), 1, 2, 3);
    expect(cpuRead(process, at(0, 2))).toBe(3);
    expect(machine.gpu.memory.owns(pageAt(process, at(0)))).toBe(memoryType === "coherent");
    expect(machine.gpu.stats.cpuFaults).toBe(memoryType === "coherent" ? 0 : 1);
    expect(cpuWrite(process, at(1), 9)).toBe("done");
    expect(gpuRead(context, at(1))).toBe(9);
    machine.check();
  });

  test("what isn't mapped or can't be read is EINVAL; what was before it has moved", () => {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapAnon(process, 4);
    const context = machine.open(process);
    run(munmap(mmOf(process), at(2), PAGE));
    expect(outcome(() => run(context.migrateTo(BASE, 4 * PAGE)))).toBe("EINVAL");
    expect(machine.gpu.memory.usedPages).toBe(2);
    run(mprotect(mmOf(process), at(3), PAGE, Prot.NONE));
    expect(outcome(() => run(context.migrateTo(at(3), PAGE)))).toBe("EINVAL");
    machine.check();
  });

  test("pages of a file and pages that are pinned stay where they are, and the device reaches them there", () => {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapShared(process);
    mapAnon(process, 1);
    cpuWrite(process, at(0), 1);
    cpuWrite(process, at(8), 2);
    const mm = mmOf(process);
    run(mm.mmapLock.downRead());
    const pages = run(pinUserPagesRemote(mm, at(0), 1, { write: true }));
    mm.mmapLock.upRead();
    const context = machine.open(process);
    expect(run(context.migrateTo(at(0), PAGE))).toBe(0);
    expect(run(context.migrateTo(at(8), PAGE))).toBe(0);
    expect([gpuRead(context, at(0)), gpuRead(context, at(8))]).toEqual([1, 2]);
    unpinUserPages(machine.vm, pages);
    expect(run(context.migrateTo(at(0), PAGE))).toBe(1);
    machine.check();
  });

  test("a fork shares pages of the device; a write by either process is its own", () => {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapAnon(process, 2);
    const context = machine.open(process);
    run(context.migrateTo(BASE, 2 * PAGE));
    gpuWrite(context, at(0), 1);
    gpuWrite(context, at(1), 2);
    const child = run(forkProcess(process));
    const childContext = machine.open(child);
    gpuWrite(context, at(0), 11);
    gpuWrite(childContext, at(1), 12);
    machine.check();
    expect([gpuRead(childContext, at(0)), gpuRead(context, at(1))]).toEqual([1, 2]);
    expect([
      cpuRead(process, at(0)),
      cpuRead(child, at(1)),
      cpuRead(child, at(0)),
      cpuRead(process, at(1)),
    ]).toEqual([11, 12, 1, 2]);
    run(exitProcess(process));
    run(exitProcess(child));
    expect(machine.gpu.memory.usedPages).toBe(0);
    machine.check();
  });

  test("a page on one device is read by another, and comes to it by way of the machine's memory", () => {
    const machine = gpuMachine({ memoryType, gpus: 2 });
    const [one, two] = machine.gpus;
    if (!one || !two) throw new Error("two devices");
    const process = machine.spawn();
    mapAnon(process, 1);
    const [first, second] = [machine.open(process, one), machine.open(process, two)];
    run(first.migrateTo(BASE, PAGE));
    gpuWrite(first, at(0), 7);
    expect(run(second.migrateTo(BASE, PAGE))).toBe(0);
    expect(one.memory.usedPages).toBe(1);
    expect(gpuRead(second, at(0))).toBe(7);
    machine.check();
    if (memoryType === "coherent") run(first.migrateBack(BASE, PAGE));
    expect(run(second.migrateTo(BASE, PAGE))).toBe(1);
    expect([one.memory.usedPages, two.memory.usedPages]).toEqual([0, 1]);
    gpuWrite(second, at(0), 8);
    expect(gpuRead(first, at(0))).toBe(8);
    machine.check();
  });

  test("a device that can't allocate loses nothing", () => {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapAnon(process, 4);
    for (let i = 0; i < 4; i++) cpuWrite(process, at(i), i + 1);
    const context = machine.open(process);
    const point = machine.kernel.faults.point("gpu_alloc_page");
    point.arm({ probability: 100, interval: 2 });
    expect(run(context.migrateTo(BASE, 4 * PAGE))).toBe(2);
    point.disarm();
    for (let i = 0; i < 4; i++) expect(gpuRead(context, at(i))).toBe(i + 1);
    for (let i = 0; i < 4; i++) expect(cpuRead(process, at(i))).toBe(i + 1);
    machine.check();
  });
});

test("a huge page comes to the device in small ones", () => {
  const machine = gpuMachine({ pages: 1024 });
  const process = machine.spawn();
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  const prot = Prot.READ | Prot.WRITE;
  machine.vm.tunables.transparentHugepage = "always";
  run(mmap(mmOf(process), { address: BASE, length: 512 * PAGE, prot, flags }));
  cpuWrite(process, at(3), 3);
  const context = machine.open(process);
  expect(run(context.migrateTo(BASE, 512 * PAGE))).toBe(512);
  expect(gpuRead(context, at(3))).toBe(3);
  machine.check();
  expect(cpuRead(process, at(3))).toBe(3);
  machine.check();
});
