// Memory of a device that goes bad: whoever has it mapped gets SIGBUS, and so does who touches it later.
import { type MediaPoison, MiB, pfn, run, type VirtAddr } from "@hetmem/kernel";
import { memoryFailureDevPagemap } from "@hetmem/memremap";
import { PageFlag } from "@hetmem/page";
import { readUser, writeUser } from "@hetmem/mm";
import { expect, test } from "vitest";
import { daxMemoryFailure } from "../src/index.ts";
import { addNamespace, daxMachine, mapDevice, smallNamespace } from "@hetmem/test-machines/dax-machine";

const START = 0x1_0120_0000;
const BYTE = Uint8Array.of(1);

function mappedMachine(align: number, poison?: MediaPoison) {
  const machine = daxMachine();
  const { device } = addNamespace(machine, smallNamespace(4 * MiB, { align, ...(poison && { poison }) }));
  const process = machine.spawn("reader");
  const at = run(mapDevice(machine, process, device, { length: 4 * MiB }));
  return { machine, device, process, at };
}

test("who was reading the bad page must act, who asked to hear early may, and who didn't hears when he touches it", () => {
  for (const [align, addressLsb] of [
    [4096, 12],
    [2 * MiB, 21],
  ] as const) {
    const { machine, device, process, at } = mappedMachine(align);
    const other = machine.spawn("other");
    const there = run(mapDevice(machine, other, device, { length: 4 * MiB }));
    const unaware = machine.spawn("unaware");
    const elsewhere = run(mapDevice(machine, unaware, device, { length: 4 * MiB }));
    other.mceKillEarly = true;
    run(writeUser(unaware, (elsewhere + 8192) as VirtAddr, BYTE));
    run(writeUser(process, (at + 8192) as VirtAddr, BYTE));
    run(writeUser(other, (there + 8192) as VirtAddr, BYTE));
    const frame = pfn(START / 4096 + 2);
    run(daxMemoryFailure(machine.vm, device, { frame, pages: 1, accessing: process }));
    const sigbus = { signo: "SIGBUS", addressLsb };
    expect(process.signals).toMatchObject([{ ...sigbus, code: "BUS_MCEERR_AR", address: at + 8192 }]);
    expect(other.signals).toMatchObject([{ ...sigbus, code: "BUS_MCEERR_AO", address: there + 8192 }]);
    expect(unaware.signals).toEqual([]);
    expect(run(readUser(unaware, (elsewhere + 8192) as VirtAddr, new Uint8Array(1)))).toMatchObject({
      code: "BUS_MCEERR_AR",
      address: elsewhere + 8192,
    });
  }
});

test("a process that has not touched the page is left alone until it does", () => {
  const { machine, device, process, at } = mappedMachine(2 * MiB);
  run(daxMemoryFailure(machine.vm, device, { frame: pfn(START / 4096 + 2), pages: 1 }));
  expect(process.signals).toEqual([]);
  expect(run(writeUser(process, (at + 8192) as VirtAddr, BYTE))).toMatchObject({
    signo: "SIGBUS",
    code: "BUS_MCEERR_AR",
  });
});

test("the rest of the 2 MiB around a bad page can still be used", () => {
  const { machine, device, process, at } = mappedMachine(2 * MiB);
  run(daxMemoryFailure(machine.vm, device, { frame: pfn(START / 4096 + 2), pages: 1 }));
  expect(run(writeUser(process, (at + 4096) as VirtAddr, BYTE))).toBeUndefined();
  expect(run(writeUser(process, (at + 2 * MiB) as VirtAddr, BYTE))).toBeUndefined();
});

test("memory that nobody knows to be bad is met by who touches it, and known from then on", () => {
  const bad = START + 4096 + 512;
  const met: number[] = [];
  const poison: MediaPoison = {
    badRanges: () => [],
    *clearPoison() {
      return false;
    },
    isReadable: (start, size) => bad < start || bad >= start + size,
    machineCheck: (start) => met.push(start),
  };
  for (const align of [4096, 2 * MiB]) {
    const { process, at } = mappedMachine(align, poison);
    expect(run(writeUser(process, at, BYTE))).toBeUndefined();
    expect(met).toEqual([]);
    expect(run(writeUser(process, (at + 4096) as VirtAddr, BYTE))).toMatchObject({ code: "BUS_MCEERR_AR" });
    expect(met.splice(0)).toEqual([START + 4096]);
  }
});

test("memory that is good can be touched again after somebody said for a test that it is bad", () => {
  const poison: MediaPoison = {
    badRanges: () => [],
    *clearPoison() {
      return true;
    },
    isReadable: () => true,
    machineCheck() {},
  };
  const { machine, device, process, at } = mappedMachine(2 * MiB, poison);
  run(writeUser(process, at, BYTE));
  run(daxMemoryFailure(machine.vm, device, { frame: pfn(START / 4096), pages: 1, accessing: process }));
  expect(process.signals).toHaveLength(1);
  expect(run(writeUser(process, at, BYTE))).toBeUndefined();
});

test("the pagemap of the device hands bad frames to it, with the process that was reading them", () => {
  for (const reads of [true, false]) {
    const { machine, process, at } = mappedMachine(4096);
    run(writeUser(process, at, BYTE));
    const current = reads ? process : undefined;
    expect(run(memoryFailureDevPagemap(machine.pagemaps, pfn(START / 4096), current))).toBe(true);
    expect(process.signals).toMatchObject(reads ? [{ code: "BUS_MCEERR_AR", address: at }] : []);
    expect(machine.dmesg().at(-1)).toMatch(/recovery action for dax page: Recovered$/);
  }
});

test("a bad frame of a device is marked, and isn't among the memory that the kernel has lost: HardwareCorrupted stays", () => {
  const { machine, process, at } = mappedMachine(4096);
  run(writeUser(process, at, BYTE));
  const { counters, memmap } = machine.memory;
  run(memoryFailureDevPagemap(machine.pagemaps, pfn(START / 4096), undefined));
  expect(memmap.test(memmap.pfnToPage(pfn(START / 4096)), PageFlag.hwpoison)).toBe(true);
  expect(counters.poisonedPages).toBe(0);
});
