// Atomic operations of the device, and pages that are its alone meanwhile.
import { rivalsPlan, runRivals } from "@hetmem/explore";
import { run, type Sleeps } from "@hetmem/kernel";
import { forkProcess, mprotect, Prot } from "@hetmem/mm";
import { expect, test } from "vitest";
import type { Gpu, GpuContext } from "../src/index.ts";
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
} from "@hetmem/test-machines/gpu-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const PLAN = rivalsPlan(process.env, 33);

test("the device has pages for itself until the cpu touches them", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 3);
  for (let i = 0; i < 3; i++) cpuWrite(process, at(i), i + 1);
  const context = machine.open(process);
  run(context.exclusive(BASE, 3 * PAGE));
  expect(context.hasExclusive(BASE, 3 * PAGE)).toBe(true);
  expect(gpuRead(context, at(2))).toBe(3);
  machine.check();
  expect(cpuRead(process, at(1))).toBe(2);
  expect([0, 1, 2].map((i) => context.hasExclusive(at(i), PAGE))).toEqual([true, false, true]);
  expect(cpuWrite(process, at(0), 9)).toBe("done");
  expect(cpuRead(process, at(2))).toBe(3);
  expect(context.hasExclusive(BASE, 3 * PAGE)).toBe(false);
  machine.check();
});

test("an atomic operation adds, whoever wrote before, and the cpu reads the sum", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 1);
  const context = machine.open(process);
  cpuWrite(process, at(0, 8), 0xff);
  expect(run(context.atomicAdd(at(0, 8), 2))).toBe(0xff);
  expect(run(context.atomicAdd(at(0, 8), 0xffff_ffff))).toBe(0x101);
  expect(context.hasExclusive(BASE, PAGE)).toBe(true);
  expect([cpuRead(process, at(0, 8)), cpuRead(process, at(0, 9))]).toEqual([0, 1]);
  expect(context.hasExclusive(BASE, PAGE)).toBe(false);
  machine.check();
});

test("in its own memory the device needs nobody's leave for an atomic operation", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 1);
  const context = machine.open(process);
  run(context.migrateTo(BASE, PAGE));
  expect(run(context.atomicAdd(at(0), 5))).toBe(0);
  expect(context.hasExclusive(BASE, PAGE)).toBe(false);
  expect(machine.gpu.memory.usedPages).toBe(1);
  expect(cpuRead(process, at(0))).toBe(5);
  machine.check();
});

test("EINVAL off a multiple of four, EBUSY for pages of a file, EPERM where the process may only read", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapShared(process);
  mapAnon(process, 1, Prot.READ);
  const context = machine.open(process);
  expect(outcome(() => run(context.atomicAdd(at(0, 2), 1)))).toBe("EINVAL");
  expect(outcome(() => run(context.atomicAdd(at(0), 1)))).toBe("EPERM");
  expect(outcome(() => run(context.atomicAdd(at(8), 1)))).toBe("EBUSY");
  machine.check();
});

test("mprotect takes exclusive pages back, and the device can't write then", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 2);
  const context = machine.open(process);
  run(context.exclusive(BASE, 2 * PAGE));
  run(mprotect(mmOf(process), BASE, 2 * PAGE, Prot.READ));
  expect(context.hasExclusive(BASE, 2 * PAGE)).toBe(false);
  expect(gpuWrite(context, at(0), 1)).toBe("EPERM");
  machine.check();
});

test("a fork takes exclusive pages back before it shares them", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 1);
  const context = machine.open(process);
  run(context.atomicAdd(at(0), 1));
  const child = run(forkProcess(process));
  expect(context.hasExclusive(BASE, PAGE)).toBe(false);
  run(context.atomicAdd(at(0), 1));
  expect([cpuRead(child, at(0)), cpuRead(process, at(0))]).toEqual([1, 2]);
  machine.check();
});

test("two devices that want the same page take it from each other", () => {
  const machine = gpuMachine({ gpus: 2 });
  const process = machine.spawn();
  mapAnon(process, 1);
  const [first, second] = machine.gpus.map((gpu) => machine.open(process, gpu));
  if (!first || !second) throw new Error("two devices");
  for (let i = 0; i < 3; i++) {
    run(first.atomicAdd(at(0), 1));
    run(second.atomicAdd(at(0), 10));
  }
  expect([first.hasExclusive(BASE, PAGE), second.hasExclusive(BASE, PAGE)]).toEqual([false, true]);
  machine.check();
  expect(cpuRead(process, at(0))).toBe(33);
});

for (const gpus of [1, 2]) {
  test(`two users of ${gpus === 1 ? "a device" : "two devices"} that want the same word wait for each other, and none is refused`, () => {
    runRivals(() => {
      const machine = gpuMachine({ gpus, small: true });
      const process = machine.spawn();
      mapAnon(process, 1);
      cpuWrite(process, at(0), 0);
      const contexts = [machine.gpu, machine.gpus[gpus - 1] as Gpu].map((gpu) => machine.open(process, gpu));
      const addThrice = (context: GpuContext) =>
        function* (): Sleeps<void> {
          for (let i = 0; i < 3; i++) yield* context.atomicAdd(at(0), 1);
        };
      const [first, second] = contexts.map(addThrice);
      return {
        kernel: machine.kernel,
        tasks: { first: first as () => Sleeps<void>, second: second as () => Sleeps<void> },
        afterStep() {},
        afterwards: () => expect(cpuRead(process, at(0))).toBe(6),
      };
    }, PLAN);
  });
}
