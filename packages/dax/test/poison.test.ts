// Memory of a device that goes bad: whoever has it mapped gets SIGBUS, and so does who touches it later.
import { MiB, pfn, physAddr, run, type VirtAddr } from "@hetmem/kernel";
import { writeUser } from "@hetmem/mm";
import { expect, test } from "vitest";
import { type DaxPoison, daxMemoryFailure } from "../src/index.ts";
import { addNamespace, daxMachine, mapDevice, smallNamespace } from "./dax-machine.ts";

const START = 0x1_0120_0000;
const BYTE = Uint8Array.of(1);

function mappedMachine(align: number, poison?: DaxPoison) {
  const machine = daxMachine();
  const { device } = addNamespace(machine, smallNamespace(4 * MiB, { align, ...(poison && { poison }) }));
  const process = machine.spawn("reader");
  const at = run(mapDevice(machine, process, device, { length: 4 * MiB }));
  return { machine, device, process, at };
}

test("a process that has the bad page mapped is told, and the one that was reading it must act", () => {
  for (const align of [4096, 2 * MiB]) {
    const { machine, device, process, at } = mappedMachine(align);
    const other = machine.spawn("other");
    const there = run(mapDevice(machine, other, device, { length: 4 * MiB }));
    run(writeUser(process, (at + 8192) as VirtAddr, BYTE));
    run(writeUser(other, (there + 8192) as VirtAddr, BYTE));
    const frame = pfn(START / 4096 + 2);
    run(daxMemoryFailure(machine.vm, device, { frame, pages: 1, accessing: process }));
    expect(process.signals).toMatchObject([{ signo: "SIGBUS", code: "BUS_MCEERR_AR", address: at + 8192 }]);
    expect(other.signals).toMatchObject([{ signo: "SIGBUS", code: "BUS_MCEERR_AO", address: there + 8192 }]);
    expect(machine.dmesg().at(-1)).toBe(
      `Memory failure: 0x${frame.toString(16)}: recovery action for dax page: Recovered`,
    );
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

test("memory that was known to be bad before is as bad when it is mapped", () => {
  const bad = { start: physAddr(START + 4096), end: physAddr(START + 4607) };
  const poison: DaxPoison = {
    badRanges: (start, size) => (bad.start < start + size && bad.end >= start ? [bad] : []),
    *clearPoison() {
      return false;
    },
  };
  const { process, at } = mappedMachine(4096, poison);
  expect(run(writeUser(process, at, BYTE))).toBeUndefined();
  expect(run(writeUser(process, (at + 4096) as VirtAddr, BYTE))).toMatchObject({ code: "BUS_MCEERR_AR" });
});

test("the pagemap of the device hands bad frames to it", () => {
  const { machine, process, at } = mappedMachine(4096);
  run(writeUser(process, at, BYTE));
  const frame = pfn(START / 4096);
  const pagemap = machine.pagemaps.getDevPagemap(frame);
  if (!pagemap?.ops.memoryFailure) throw new Error("no handler");
  run(pagemap.ops.memoryFailure(pagemap, frame, 1, 0));
  machine.pagemaps.putDevPagemap(pagemap);
  expect(process.signals).toMatchObject([{ code: "BUS_MCEERR_AO", address: at }]);
});
