// Pages that the policy moves by itself, their cost, and the counters in debugfs.
import { run } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import {
  mapInPlace,
  migrateAfter,
  migrateOnTouch,
  pcieLatency,
  prefetchBlocks,
} from "../src/driver/index.ts";
import type { GpuContext } from "../src/index.ts";
import {
  type GpuMachine,
  type GpuMachineOptions,
  at,
  BASE,
  cpuRead,
  cpuWrite,
  gpuMachine,
  gpuRead,
  gpuWrite,
  mapAnon,
  pageAt,
} from "@hetmem/test-machines/gpu-machine";
import { PAGE } from "@hetmem/test-machines/vm-machine";

interface World {
  readonly machine: GpuMachine;
  readonly process: Process;
  readonly context: GpuContext;
}

function localPages(options: GpuMachineOptions, body: (made: World) => void): number[] {
  const made = world(options);
  body(made);
  made.machine.check();
  const { machine, process } = made;
  return Array.from({ length: 32 }, (_, i) => i).filter((i) =>
    machine.gpu.memory.owns(pageAt(process, at(i))),
  );
}

function world(options: GpuMachineOptions): World {
  const machine = gpuMachine(options);
  const process = machine.spawn();
  mapAnon(process, 32);
  for (let i = 0; i < 32; i++) cpuWrite(process, at(i), i + 1);
  return { machine, process, context: machine.open(process) };
}

test("in place: the device reaches for pages, and none moves", () => {
  expect(localPages({ policy: mapInPlace }, ({ context }) => gpuRead(context, at(3)))).toEqual([]);
});

test("on touch: what the device touches comes to it, and what the cpu touches goes back alone", () => {
  const policy = migrateOnTouch;
  expect(
    localPages({ policy }, ({ context, process }) => {
      gpuWrite(context, at(3), 1);
      gpuRead(context, at(5));
      run(context.read(at(7), new Uint8Array(2 * PAGE)));
      expect(cpuRead(process, at(7))).toBe(8);
    }),
  ).toEqual([3, 5, 8]);
});

test("blocks: the neighbours come along, and go back whole", () => {
  const policy = prefetchBlocks(16 * 1024);
  expect(
    localPages({ policy }, ({ context, process }) => {
      gpuRead(context, at(5));
      gpuRead(context, at(9));
      expect(cpuRead(process, at(10))).toBe(11);
    }),
  ).toEqual([4, 5, 6, 7]);
});

test("after so many misses: the page comes when the device has missed there often enough", () => {
  const policy = migrateAfter(3);
  expect(
    localPages({ policy }, ({ context }) => {
      for (const page of [1, 2, 3, 20]) gpuRead(context, at(page));
    }),
  ).toEqual([3]);
});

test("on touch with full memory: others make room, and everything reads as it was written", () => {
  const { machine, context, process } = world({ policy: migrateOnTouch, pages: 4 });
  for (let i = 0; i < 32; i++) expect(gpuRead(context, at(i))).toBe(i + 1);
  expect(machine.gpu.stats.evicted).toBe(28);
  for (let i = 0; i < 32; i++) expect(cpuRead(process, at(i))).toBe(i + 1);
  machine.check();
});

test("time passes as the bus needs it: for each copy, for its bytes, and for each TLB flush", () => {
  const { machine, context } = world({ latency: pcieLatency });
  const { clock } = machine.kernel;
  const before = clock.nowNs;
  run(context.migrateTo(BASE, 32 * PAGE));
  const { setupNs, kibNs, flushNs } = pcieLatency;
  expect(clock.nowNs - before).toBe(setupNs + 128 * kibNs + machine.gpu.stats.invalidations * flushNs);
});

test("debugfs says what a device is, has, and has done", () => {
  const { machine, context } = world({});
  run(context.migrateTo(BASE, 3 * PAGE));
  const vfs = new Vfs();
  vfs.mount({ root: "/sys/kernel/debug/gpu0", files: machine.gpu.debugfs });
  const read = (file: string): string => run(vfs.read(`/sys/kernel/debug/gpu0/${file}`));
  expect([read("state"), read("policy")]).toEqual(["running\n", "map-in-place\n"]);
  expect(read("memory")).toBe(`private at 0x${(2 ** 36 - 2 ** 27).toString(16)} 262144\nused 12288\n`);
  expect(read("stats")).toContain("toDevice 3\n");
  expect(read("clients")).toBe("mm 1 3\n");
});
