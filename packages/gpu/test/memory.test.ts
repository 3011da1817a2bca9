// The device's memory fills up, is emptied, and goes.
import { run } from "@hetmem/kernel";
import { defaultPagemapPolicies, MemoryType } from "@hetmem/memremap";
import { exitProcess } from "@hetmem/mm";
import { describe, expect, test } from "vitest";
import {
  at,
  BASE,
  cpuRead,
  gpuMachine,
  gpuRead,
  gpuWrite,
  mapAnon,
  MEMORY_TYPES,
  pageAt,
} from "@hetmem/test-machines/gpu-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE } from "@hetmem/test-machines/vm-machine";

describe.each(MEMORY_TYPES)("%s memory", (memoryType) => {
  test("when it is full, what the engine used last stays, and the rest makes room", () => {
    const machine = gpuMachine({ memoryType, pages: 4 });
    const process = machine.spawn();
    mapAnon(process, 8);
    const context = machine.open(process);
    run(context.migrateTo(BASE, 4 * PAGE));
    for (let i = 0; i < 4; i++) gpuWrite(context, at(i), i + 1);
    // The hand goes round once and forgets who was used.
    expect(run(machine.gpu.evict(1))).toBe(1);
    expect(run(context.migrateTo(at(4), PAGE))).toBe(1);
    gpuRead(context, at(1));
    gpuRead(context, at(3));
    expect(run(context.migrateTo(at(5), PAGE))).toBe(1);
    const local = [0, 1, 2, 3, 4, 5].filter((i) => machine.gpu.memory.owns(pageAt(process, at(i))));
    expect(local).toEqual([1, 3, 4, 5]);
    for (let i = 0; i < 4; i++) expect(cpuRead(process, at(i))).toBe(i + 1);
    machine.check();
  });

  test("a range larger than the memory passes through it, and nothing is lost", () => {
    const machine = gpuMachine({ memoryType, pages: 3 });
    const process = machine.spawn();
    mapAnon(process, 10);
    const context = machine.open(process);
    for (let i = 0; i < 10; i++) gpuWrite(context, at(i), i + 1);
    for (let i = 0; i < 10; i++) run(context.migrateTo(at(i), PAGE));
    expect(machine.gpu.memory.usedPages).toBe(3);
    for (let i = 0; i < 10; i++) expect(gpuRead(context, at(i))).toBe(i + 1);
    machine.check();
  });

  test("it is emptied and taken away, and comes back when it is needed", () => {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapAnon(process, 4);
    const context = machine.open(process);
    run(context.migrateTo(BASE, 4 * PAGE));
    gpuWrite(context, at(2), 22);
    run(machine.gpu.releaseMemory());
    expect(machine.gpu.memory.pagemap).toBe(undefined);
    expect(machine.pagemaps.mapped()).toEqual([]);
    expect(gpuRead(context, at(2))).toBe(22);
    expect(run(context.migrateTo(BASE, 4 * PAGE))).toBe(4);
    expect(gpuRead(context, at(2))).toBe(22);
    machine.check();
    run(machine.gpu.remove());
    expect(cpuRead(process, at(2))).toBe(22);
    expect(gpuRead(context, at(2))).toBe("EBADF");
    machine.check();
  });

  test("what a process leaves behind, nobody else ever reads", () => {
    const machine = gpuMachine({ memoryType, pages: 1 });
    const [one, two] = [machine.spawn(), machine.spawn()];
    mapAnon(one, 1);
    mapAnon(two, 1);
    const [first, second] = [machine.open(one), machine.open(two)];
    run(first.migrateTo(BASE, PAGE));
    gpuWrite(first, at(0), 99);
    run(exitProcess(one));
    run(second.migrateTo(BASE, PAGE));
    expect(gpuRead(second, at(0))).toBe(0);
    machine.check();
  });
});

test("private memory lies at the top of the physical space, and /proc/iomem names its device", () => {
  const machine = gpuMachine({ gpus: 2 });
  const [one, two] = machine.gpus.map(({ memory }) => memory.pagemap?.ranges[0]?.start ?? 0);
  expect(machine.iomem.children.map(({ name }) => name)).toEqual(["System RAM", "gpu1", "gpu0"]);
  expect(one).toBeGreaterThan(two ?? 0);
  run(machine.gpu.remove());
  expect(machine.iomem.children.map(({ name }) => name)).toEqual(["System RAM", "gpu1"]);
});

test("on a kernel of 4.14 coherent memory is public: all goes on as it did, with idle pages at one reference", () => {
  const machine = gpuMachine({ memoryType: "coherent", pages: 4, policies: defaultPagemapPolicies });
  const process = machine.spawn();
  mapAnon(process, 6);
  const context = machine.open(process);
  expect(run(context.migrateTo(BASE, 6 * PAGE))).toBe(4);
  expect(machine.gpu.memory.pagemap?.type).toBe(MemoryType.DevicePublic);
  gpuWrite(context, at(1), 5);
  expect(cpuRead(process, at(1))).toBe(5);
  machine.check();
  run(context.migrateBack(BASE, 2 * PAGE));
  expect([gpuRead(context, at(1)), machine.gpu.memory.usedPages]).toEqual([5, 2]);
  run(machine.gpu.remove());
  expect(cpuRead(process, at(1))).toBe(5);
  machine.check();
});

test("a device without a page of memory is EINVAL", () => {
  expect(outcome(() => gpuMachine({ pages: 0 }))).toBe("EINVAL");
});
