// MADV_COLLAPSE over small pages of which a device has one.
import { KernelError, run, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { Madv, MapFlag, mmap, type Process, Prot } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { Pte } from "@hetmem/page-table";
import { expect, test } from "vitest";
import { cpuRead, cpuWrite, gpuMachine } from "@hetmem/test-machines/gpu-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const START = virtAddr(0x4000_0000);
const SIZE = 512 * PAGE;
const SEVENTH = virtAddr(START + 7 * PAGE);

function withSmallPages(memoryType: "private" | "coherent") {
  const machine = gpuMachine({ memoryType });
  const process = machine.spawn();
  const mm = mmOf(process);
  machine.vm.tunables.transparentHugepage = "never";
  run(
    mmap(mm, {
      address: START,
      length: SIZE,
      prot: Prot.READ | Prot.WRITE,
      flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED,
    }),
  );
  for (let i = 0; i < 512; i++) cpuWrite(process, virtAddr(START + i * PAGE), i % 200);
  machine.vm.tunables.transparentHugepage = "always";
  return { machine, process, context: machine.open(process) };
}

function collapse(process: Process): string {
  try {
    run(madvise(mmOf(process), START, SIZE, Madv.COLLAPSE));
    return "ok";
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error.errno;
  }
}

function isHuge(process: Process, address: VirtAddr): boolean {
  const { pageTable } = mmOf(process);
  return (pageTable.flags(pageTable.findPmd(address)) & Pte.huge) !== 0;
}

test("a private page of a device comes back for a huge page, which has what it held", () => {
  const { machine, process, context } = withSmallPages("private");
  run(context.migrateTo(SEVENTH, PAGE));
  expect([collapse(process), isHuge(process, START)]).toEqual(["ok", true]);
  expect(machine.gpu.memory.usedPages).toBe(0);
  expect(cpuRead(process, SEVENTH)).toBe(7);
  machine.check();
});

test("a page that a device has for itself is taken back for a huge page", () => {
  const { machine, process, context } = withSmallPages("private");
  run(context.exclusive(SEVENTH, PAGE));
  expect([collapse(process), isHuge(process, START)]).toEqual(["ok", true]);
  expect(cpuRead(process, SEVENTH)).toBe(7);
  machine.check();
});

test("a coherent page of a device is present, and none of a huge page: EINVAL", () => {
  const { machine, process, context } = withSmallPages("coherent");
  run(context.migrateTo(SEVENTH, PAGE));
  expect([collapse(process), isHuge(process, START)]).toEqual(["EINVAL", false]);
  expect(machine.gpu.memory.usedPages).toBe(1);
  expect(cpuRead(process, SEVENTH)).toBe(7);
  machine.check();
});
