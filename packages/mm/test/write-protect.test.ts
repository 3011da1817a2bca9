// Writes to what is mapped read-only, and reads that must not see what is written later.
import { assertInvariants, MiB, nodeId, run, virtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { Pte, specialFlags, specialValue } from "@hetmem/page-table";
import { deviceMachine } from "@hetmem/test-machines/device-machine";
import { bytes, diskFile, map, read, text } from "@hetmem/test-machines/files";
import { entryAt, mapAt, RW } from "@hetmem/test-machines/hand-mapped";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import {
  BASE,
  entryOf,
  pageOf,
  read as readAt,
  withMemory,
  write as writeAt,
} from "@hetmem/test-machines/moving";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { GFP_KERNEL } from "@hetmem/zone";
import { expect, test } from "vitest";
import { handleMmFault } from "../src/fault/handle-mm-fault.ts";
import { FaultFlag, VmFault } from "../src/fault/vm-fault.ts";
import { vmInvariants } from "../src/invariants.ts";
import { forkProcess } from "../src/process/fork.ts";
import { remapPfnRange, vmfInsertMixed } from "../src/vma/device-mapping.ts";
import { MapFlag } from "../src/vma/map-flags.ts";
import { VmFlag } from "../src/vma/vm-flags.ts";

test("a page that a pin makes the process's own isn't written by that", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  withMemory(parent, 1);
  writeAt(parent, 0, "shared");
  const child = run(forkProcess(parent));
  const { pageTable } = mmOf(child);
  const entry = pageTable.find(virtAddr(BASE));
  pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.softDirty);
  run(pinUserPages(mmOf(child), virtAddr(BASE), 1, {}));
  expect(pageOf(child, 0)).not.toBe(pageOf(parent, 0));
  expect(vm.memmap.test(pageOf(child, 0), PageFlag.anonExclusive)).toBe(true);
  expect(entryOf(child, 0)[1]).toBe(Pte.present | Pte.accessed);
  expect(readAt(child, 0, 6)).toBe("shared");
  assertInvariants(vm, vmInvariants);
});

test("a page of a file needn't become the process's own to be pinned", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const start = map(process, diskFile(vm, 1).file, 1, MapFlag.PRIVATE);
  read(process, start, 1);
  const mm = mmOf(process);
  const before = mm.pageTable.value(mm.pageTable.find(start));
  const vma = mm.vmas.at(start);
  if (!vma) throw new Error("not mapped");
  expect(run(handleMmFault(vma, start, FaultFlag.UNSHARE))).toBe(0);
  expect(mm.pageTable.value(mm.pageTable.find(start))).toBe(before);
});

test("a private copy of a device's memory holds what was in the device's", () => {
  const { vm, spawn, devicePage } = deviceMachine();
  const process = spawn();
  const mm = mmOf(process);
  const vma = mapAt(mm, BASE, BASE + 4096, { flags: RW | VmFlag.MIXEDMAP });
  vm.memmap.contents.write(devicePage(0), 0, bytes("device"));
  mm.pageTable.set(entryAt(mm, BASE), devicePage(0), Pte.present | Pte.devmap);
  writeAt(process, 0, "D");
  expect(readAt(process, 0, 6)).toBe("Device");
  expect(vma.anonVma).toBeDefined();
  const kept = new Uint8Array(6);
  vm.memmap.contents.read(devicePage(0), 0, kept);
  expect(text(kept)).toBe("device");
});

test("a private copy of a frame that nobody counts holds what was in the frame", () => {
  const { vm, memory, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  const page = memory.allocator.allocPages(GFP_KERNEL, 0, nodeId(0));
  vm.memmap.contents.write(page, 0, bytes("frame"));
  const vma = mapAt(mm, BASE, BASE + 4096, { ops: {} });
  remapPfnRange(vma, virtAddr(BASE), vm.memmap.pageToPfn(page), 4096);
  writeAt(process, 0, "F");
  expect(readAt(process, 0, 5)).toBe("Frame");
  expect(pageOf(process, 0)).not.toBe(page);
});

test("a driver that maps memory for a write doesn't make the zero page of a hole writable", () => {
  const { vm, spawn, devicePage } = deviceMachine();
  const process = spawn();
  const mm = mmOf(process);
  const shared = RW | VmFlag.SHARED | VmFlag.MAYSHARE | VmFlag.MIXEDMAP;
  const vma = mapAt(mm, BASE, BASE + 4096, { flags: shared, ops: {} });
  const hole = [specialValue(vm.zeroPfn), specialFlags(vm.zeroPfn, Pte.present)] as const;
  const entry = entryAt(mm, BASE);
  mm.pageTable.set(entry, ...hole);
  const frame = vm.memmap.pageToPfn(devicePage(0));
  expect(vmfInsertMixed(vma, virtAddr(BASE), frame, true)).toBe(VmFault.NOPAGE);
  expect(entryOf(process, 0)).toEqual(hole);
  mm.pageTable.set(entry, devicePage(0), Pte.present | Pte.devmap);
  vmfInsertMixed(vma, virtAddr(BASE), frame, true);
  expect(entryOf(process, 0)[1] & (Pte.write | Pte.dirty)).toBe(Pte.write | Pte.dirty);
});

test("memory that was taken from a process that dies isn't read as zeros by others", () => {
  const machine = vmMachine({ nodes: [32 * MiB] });
  const process = machine.spawn();
  const vma = withMemory(process, 1);
  const mm = mmOf(process);
  mm.unstable = true;
  expect(run(handleMmFault(vma, virtAddr(BASE), FaultFlag.REMOTE))).toBe(VmFault.SIGBUS);
  expect(mm.rssPages).toBe(0);
});
