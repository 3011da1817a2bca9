// Programs start: with memory for all of it, or not at all.
import { assertInvariants, KernelError, nodeId, run } from "@hetmem/kernel";
import { MmuNotifier, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { diskFile, read, RW, write } from "@hetmem/test-machines/files";
import { errnoOf } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { vmInvariants } from "../src/invariants.ts";
import { execProgram, execve, type ProgramImage } from "../src/process/exec.ts";
import { exitProcess } from "../src/process/exit.ts";
import type { Vm } from "../src/vm.ts";
import { Prot } from "../src/vma/vm-flags.ts";

const TEXT = 0x40_0000;
const HEAP = 0x80_0000;
const STACK_END = 0x7fff_0000_0000;

function program(vm: Vm): ProgramImage {
  return {
    file: diskFile(vm, 4).file,
    segments: [
      { address: TEXT, length: 2 * PAGE, offset: 0, prot: Prot.READ | Prot.EXEC },
      { address: TEXT + 2 * PAGE, length: PAGE, offset: 2 * PAGE, prot: RW },
      { address: TEXT + 3 * PAGE, length: PAGE, offset: undefined, prot: RW },
    ],
    heap: { start: HEAP, length: 4 * PAGE },
    stack: { end: STACK_END, length: 8 * PAGE },
  };
}

test("a program has its file, a heap and a stack, and each was touched", () => {
  const { vm } = vmMachine();
  const process = run(execProgram(vm, nodeId(0), "a program with a long name", program(vm)));
  const mm = mmOf(process);
  expect([process.comm, mm.vmas.count, mm.totalVm]).toEqual(["a program with ", 5, 16]);
  expect([read(process, TEXT, 6), read(process, TEXT + 2 * PAGE, 6)]).toEqual(["page 0", "page 2"]);
  expect([...mm.rss]).toEqual([1, 4, 0, 0]);
  assertInvariants(vm, vmInvariants);
});

test("whichever allocation of a starting program fails, nothing is left of it", () => {
  for (let failing = 0; ; failing++) {
    const { vm, kernel, freePages } = vmMachine();
    const image = program(vm);
    run(execProgram(vm, nodeId(0), "warms the page cache", image));
    const before = [freePages(), vm.commit.pages, vm.addressSpaces.size];
    const point = kernel.faults.point("fail_page_alloc");
    // A fault that is refused is tried again: from this allocation on, all fail.
    point.arm({ probability: 100, space: failing });
    const errno = errnoOf(execProgram(vm, nodeId(0), "sleep", image));
    const all = point.failures === 0;
    point.disarm();
    assertInvariants(vm, vmInvariants);
    if (all) return expect([errno, failing > 10]).toEqual([undefined, true]);
    expect([errno, freePages(), vm.commit.pages, vm.addressSpaces.size]).toEqual(["ENOMEM", ...before]);
  }
});

test("a process that becomes another program keeps its number, and who mirrors its memory hears that it ends", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn("sh");
  const old = mmOf(process);
  const released: unknown[] = [];
  const mirror = new MmuNotifier(
    {
      *release(_, mm) {
        released.push(mm);
      },
    },
    undefined,
  );
  run(mmuNotifierRegister(mirror, old));
  const { pid } = process;
  run(execve(process, "sleep", program(vm)));
  expect([process.pid, process.comm, vm.processes.get(pid)]).toEqual([pid, "sleep", process]);
  expect([released, old.dead, vm.addressSpaces.size]).toEqual([[old], true, 1]);
  write(process, HEAP, "new");
  expect(read(process, HEAP, 3)).toBe("new");
  assertInvariants(vm, vmInvariants);
});

test("a process that can't get a new address space stays the program that it was", () => {
  const { vm, kernel, spawn } = vmMachine();
  const process = spawn("sh");
  const old = mmOf(process);
  kernel.faults.point("fail_page_alloc").arm({ probability: 100 });
  expect(errnoOf(execve(process, "sleep", program(vm)))).toBe("ENOMEM");
  expect([process.comm, process.mm]).toEqual(["sh", old]);
});

test("a program whose file can't be mapped leaves the process as it was", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn("sh");
  const image = program(vm);
  const file = {
    ...image.file,
    mmap() {
      throw new KernelError("ENODEV", "no");
    },
  };
  expect(errnoOf(execve(process, "sleep", { ...image, file }))).toBe("ENODEV");
  expect([process.comm, vm.addressSpaces.size]).toEqual(["sh", 1]);
  run(exitProcess(process));
  expect([vm.addressSpaces.size, vm.commit.pages]).toEqual([0, 0]);
});
