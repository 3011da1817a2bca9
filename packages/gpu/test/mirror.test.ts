// What a device that reaches a process through its own page table sees, and when it has to let go.
import { hmmRangeFault } from "@hetmem/hmm-mirror";
import { KernelBug, run } from "@hetmem/kernel";
import { exitProcess, forkProcess, Madv, mprotect, munmap, Prot } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { expect, test } from "vitest";
import { DevicePte } from "../src/index.ts";
import {
  at,
  cpuRead,
  cpuWrite,
  gpuMachine,
  gpuRead,
  gpuWrite,
  mapAnon,
  MEMORY_TYPES,
  pageAt,
} from "@hetmem/test-machines/gpu-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

test("the device reads at the process's own addresses what the cpu has written, and the cpu what the device has", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 4);
  const context = machine.open(process);
  cpuWrite(process, at(1, 7), 42);
  expect(gpuRead(context, at(1, 7))).toBe(42);
  expect(gpuWrite(context, at(2, 9), 43)).toBe("done");
  expect(cpuRead(process, at(2, 9))).toBe(43);
  machine.check();
});

test("another mirror in place of hmmRangeFault() answers the misses of the device, and its snapshots", () => {
  const asked: number[] = [];
  const machine = gpuMachine({
    rangeFault(range) {
      asked.push((range.end - range.start) / PAGE);
      return hmmRangeFault(range);
    },
  });
  const process = machine.spawn();
  mapAnon(process, 4);
  const context = machine.open(process);
  expect(gpuWrite(context, at(2, 9), 43)).toBe("done");
  expect(cpuRead(process, at(2, 9))).toBe(43);
  run(context.snapshot(at(0), 4 * PAGE));
  expect(asked).toEqual([1, 4]);
  machine.check();
});

test("one miss is answered for all of an access, and what is mapped then doesn't miss again", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 200);
  const context = machine.open(process);
  const bytes = new Uint8Array(200 * PAGE).fill(3);
  expect(run(context.write(at(0), bytes))).toEqual({ pages: 200, faults: 1 });
  expect(run(context.write(at(0), bytes))).toEqual({ pages: 200, faults: 0 });
  expect(run(context.read(at(0), bytes))).toEqual({ pages: 200, faults: 0 });
  machine.check();
});

test("the device faults where the process would: EFAULT off its mappings and where it may not read, EPERM where it may not write", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 4);
  const context = machine.open(process);
  expect(gpuRead(context, at(4))).toBe("EFAULT");
  run(mprotect(mmOf(process), at(1), PAGE, Prot.NONE));
  expect(gpuRead(context, at(1))).toBe("EFAULT");
  run(mprotect(mmOf(process), at(2), PAGE, Prot.READ));
  expect(gpuRead(context, at(2))).toBe(0);
  expect(gpuWrite(context, at(2), 1)).toBe("EPERM");
  machine.check();
});

test("memory that only was read is the zero page for the device, too, and a write by either gives it a page", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 2);
  const context = machine.open(process);
  expect([gpuRead(context, at(0)), gpuRead(context, at(1))]).toEqual([0, 0]);
  machine.check();
  cpuWrite(process, at(0), 5);
  gpuWrite(context, at(1), 6);
  expect([gpuRead(context, at(0)), cpuRead(process, at(1))]).toEqual([5, 6]);
  machine.check();
});

test("munmap, mprotect and MADV_DONTNEED take the device's entries before they return", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 3);
  const context = machine.open(process);
  gpuWrite(context, at(0), 1);
  gpuWrite(context, at(1), 2);
  gpuWrite(context, at(2), 3);
  run(munmap(mmOf(process), at(0), PAGE));
  expect(gpuWrite(context, at(0), 9)).toBe("EFAULT");
  run(mprotect(mmOf(process), at(1), PAGE, Prot.READ));
  expect(gpuWrite(context, at(1), 9)).toBe("EPERM");
  run(madvise(mmOf(process), at(2), PAGE, Madv.DONTNEED));
  expect(gpuRead(context, at(2))).toBe(0);
  machine.check();
});

test("a fork takes the device's write access: what it writes afterwards, the child doesn't see", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 1);
  const context = machine.open(process);
  gpuWrite(context, at(0), 1);
  const child = run(forkProcess(process));
  gpuWrite(context, at(0), 2);
  expect([cpuRead(child, at(0)), cpuRead(process, at(0))]).toEqual([1, 2]);
  machine.check();
});

test("when the process exits the device has let go, and everything is free again", () => {
  const machine = gpuMachine();
  const before = machine.freePages();
  const process = machine.spawn();
  mapAnon(process, 8);
  const context = machine.open(process);
  run(context.write(at(0), new Uint8Array(8 * PAGE)));
  run(context.migrateTo(at(0), 4 * PAGE));
  run(exitProcess(process));
  expect([...context.table.entries()]).toEqual([]);
  expect(machine.gpu.memory.usedPages).toBe(0);
  expect(machine.freePages()).toBe(before);
  expect(gpuRead(context, at(0))).toBe("ESRCH");
  run(context.close());
  machine.check();
});

test("a closed context answers EBADF; a second one on the same process goes on", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 1);
  const [first, second] = [machine.open(process), machine.open(process)];
  gpuWrite(first, at(0), 1);
  gpuWrite(second, at(0), 2);
  run(first.close());
  run(first.close());
  expect(gpuRead(first, at(0))).toBe("EBADF");
  expect(gpuRead(second, at(0))).toBe(2);
  run(munmap(mmOf(process), at(0), PAGE));
  expect(gpuRead(second, at(0))).toBe("EFAULT");
  machine.check();
});

test("peek reads what the device reaches now and lets nothing fault", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 1);
  const context = machine.open(process);
  const byte = new Uint8Array(1);
  cpuWrite(process, at(0), 5);
  expect(outcome(() => run(context.peek(at(0), byte)))).toBe("ENOENT");
  gpuRead(context, at(0));
  run(context.peek(at(0), byte));
  expect(byte[0]).toBe(5);
});

test("what isn't whole pages is EINVAL to move, to look at, and to have alone", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  mapAnon(process, 1);
  const context = machine.open(process);
  expect(outcome(() => run(context.migrateTo(at(0, 1), PAGE)))).toBe("EINVAL");
  expect(outcome(() => run(context.snapshot(at(0), PAGE + 1)))).toBe("EINVAL");
  expect(outcome(() => run(context.exclusive(at(0), 0)))).toBe("EINVAL");
});

test("a device that reaches for a page after it was freed is a bug: in a copy, a read, a write and an atomic operation", () => {
  for (const memoryType of MEMORY_TYPES) {
    const machine = gpuMachine({ memoryType });
    const process = machine.spawn();
    mapAnon(process, 2);
    cpuWrite(process, at(0), 5);
    cpuWrite(process, at(1), 6);
    const context = machine.open(process);
    run(context.migrateTo(at(0), PAGE));
    for (const page of [0, 1]) {
      gpuRead(context, at(page));
      const freed = pageAt(process, at(page));
      run(munmap(mmOf(process), at(page), PAGE));
      // What a driver without an invalidate callback has in its table.
      const local = machine.gpu.memory.owns(freed) ? DevicePte.local : 0;
      context.table.set(at(page), freed, DevicePte.read | DevicePte.write | DevicePte.atomic | local);
      const held = Int32Array.of(machine.vm.zeroPage);
      expect(() => run(machine.gpu.dma.copy(Int32Array.of(freed), held, 1))).toThrow(KernelBug);
      expect(() => run(machine.gpu.dma.copy(held, Int32Array.of(freed), 1))).toThrow(KernelBug);
      expect(() => gpuRead(context, at(page))).toThrow(KernelBug);
      expect(() => gpuWrite(context, at(page), 1)).toThrow(KernelBug);
      expect(() => run(context.atomicAdd(at(page), 1))).toThrow(KernelBug);
    }
  }
});
