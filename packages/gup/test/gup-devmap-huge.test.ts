// Huge entries that map memory of a device, and gup: it takes them as they are.
import { nodeId, type Page, run, virtAddr } from "@hetmem/kernel";
import { VmFault, VmFlag, type VmOperations } from "@hetmem/mm";
import { vmfInsertPfnPmd } from "@hetmem/mm/huge";
import { makeDeviceExclusiveRange } from "@hetmem/hmm-mirror";
import { NULL_PAGE } from "@hetmem/page";
import { PMD_SIZE, Pte } from "@hetmem/page-table";
import { deviceMachine } from "@hetmem/test-machines/device-machine";
import { mapAt, RW } from "@hetmem/test-machines/hand-mapped";
import { getUserPages } from "@hetmem/test-machines/locked-calls";
import { BASE, write } from "@hetmem/test-machines/moving";
import { mmOf, withMmapLock } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { outcome } from "@hetmem/test-machines/outcome";

const AT = virtAddr(BASE - (BASE % PMD_SIZE) + PMD_SIZE);

/** A process that has written to a shared mapping of a device, whose driver maps 2 MiB at a time. */
function withHugeDevice() {
  const machine = deviceMachine();
  const { device, devicePage, spawn, vm } = machine;
  device.coherent = true;
  const process = spawn();
  const mm = mmOf(process);
  mapAt(mm, AT, AT + PMD_SIZE, {
    flags: RW | VmFlag.SHARED | VmFlag.MAYSHARE,
    ops: {
      *hugeFault(fault) {
        return vmfInsertPfnPmd(fault, vm.memmap.pageToPfn(devicePage(0)), true);
      },
    },
  });
  write(process, (AT - BASE) / 4096, "on the device");
  const pmdFlags = () => mm.pageTable.flags(mm.pageTable.findPmd(AT));
  expect(pmdFlags() & (Pte.huge | Pte.devmap)).toBe(Pte.huge | Pte.devmap);
  return { ...machine, mm, pmdFlags };
}

test("a huge entry of a device is not split for who asks for small pages: each of its pages is there already", () => {
  const { vm, mm, devicePage, pmdFlags } = withHugeDevice();
  const before = pmdFlags();
  const pages = run(getUserPages(mm, virtAddr(AT + 4096), 2, { write: true, splitPmd: true }));
  expect(pages).toEqual([devicePage(1), devicePage(2)]);
  expect(pmdFlags()).toBe(before);
  for (const page of pages) vm.memmap.putPage(page);
});

test("a device can't have another device's memory for itself: it isn't anonymous", () => {
  const { mm, vm, devicePage } = withHugeDevice();
  const before = vm.memmap.refcount(devicePage(0));
  const pages = run(withMmapLock(mm, makeDeviceExclusiveRange(mm, AT, virtAddr(AT + 4096), "gpu")));
  expect(pages).toEqual([NULL_PAGE as Page]);
  expect(vm.memmap.refcount(devicePage(0))).toBe(before);
});

test("gup doesn't wait for the end of a pagemap that a huge entry maps: EFAULT", () => {
  const { mm, device } = withHugeDevice();
  device.dying = true;
  expect(outcome(() => run(getUserPages(mm, AT, 1, { write: true })))).toBe("EFAULT");
});

test("a huge entry that is split for gup leaves a table, so that the next fault maps small pages", () => {
  const { spawn, vm } = deviceMachine();
  const mm = mmOf(spawn());
  let hugeFaults = 0;
  const ops: VmOperations = {
    *hugeFault() {
      hugeFaults++;
      return VmFault.NOPAGE;
    },
  };
  mapAt(mm, AT, AT + PMD_SIZE, { ops, flags: RW | VmFlag.SHARED | VmFlag.MAYSHARE });
  const huge = vm.pages.tryAlloc(0, 9, nodeId(0), mm);
  mm.pageTable.set(mm.pageTable.ensurePmd(AT), huge, Pte.present | Pte.huge | Pte.write);
  expect(outcome(() => run(getUserPages(mm, AT, 1, { write: true, splitPmd: true })))).toBe("EFAULT");
  expect(hugeFaults).toBe(0);
});
