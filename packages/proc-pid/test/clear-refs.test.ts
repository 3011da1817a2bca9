import { type Page, virtAddr } from "@hetmem/kernel";
import { type Process, VmFlag } from "@hetmem/mm";
import { GUP_PIN_COUNTING_BIAS } from "@hetmem/mm/faultin";
import { MmuNotifier, type MmuNotifierRange, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { Pte, swapFlags } from "@hetmem/page-table";
import { fileAt, mapAt, RW, touch, touchFile } from "@hetmem/test-machines/hand-mapped";
import { mmOf, type VmMachine, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { procPidTable } from "../src/proc-pid.ts";

const START = 0x7f00_0000_0000;

function clear(machine: VmMachine, { pid }: Process, text: string, softDirty = true): void {
  const vfs = new Vfs();
  vfs.mount(procPidTable(machine.vm, { softDirty }));
  machine.run(vfs.write(`/proc/${pid}/clear_refs`, text));
}

/** A process with an anonymous page and a page of a file, both used and referenced. */
function withBoth() {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  const anonymous = touch(mapAt(mm, START, START + 0x1000), START);
  const vma = mapAt(mm, START + 0x1000, START + 0x2000, { file: fileAt(machine.vm, "/f", 1) });
  touchFile(vma, START + 0x1000);
  const ofFile = mm.pageTable.find(vma.start);
  for (const entry of [anonymous, ofFile])
    machine.vm.memmap.set(mm.pageTable.value(entry) as Page, PageFlag.referenced);
  const used = (entry: number): boolean =>
    (mm.pageTable.flags(entry) & Pte.accessed) !== 0 ||
    machine.vm.memmap.test(mm.pageTable.value(entry) as Page, PageFlag.referenced);
  return { machine, process, mm, use: () => [used(anonymous), used(ofFile)], anonymous };
}

test("1 forgets the use of every page, in the entry and in the page", () => {
  const { machine, process, use, mm, anonymous } = withBoth();
  clear(machine, process, "1\n");
  expect(use()).toEqual([false, false]);
  // It was written all the same.
  expect(mm.pageTable.flags(anonymous) & Pte.dirty).not.toBe(0);
});

test("2 is for mappings without a file, 3 for the others", () => {
  const first = withBoth();
  clear(first.machine, first.process, "2");
  expect(first.use()).toEqual([false, true]);
  const second = withBoth();
  clear(second.machine, second.process, "3");
  expect(second.use()).toEqual([true, false]);
});

test("4 makes every page clean of writes and read-only, so that the next write is seen", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const { pageTable } = mmOf(process);
  const vma = mapAt(mmOf(process), START, START + 0x2000, { flags: RW | VmFlag.SOFTDIRTY });
  const present = touch(vma, START);
  const swapped = touch(vma, START + 0x1000);
  pageTable.set(swapped, 7, swapFlags(0) | Pte.softDirty);
  clear(machine, process, "4");
  expect(vma.flags & VmFlag.SOFTDIRTY).toBe(0);
  expect(pageTable.flags(present)).toBe(Pte.present | Pte.accessed | Pte.dirty);
  expect(pageTable.flags(swapped)).toBe(swapFlags(0));
});

test("4 leaves a page writable that a device may be writing to", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  const entry = touch(mapAt(mm, START, START + 0x1000), START);
  const page = mm.pageTable.value(entry) as Page;
  mm.hasPinned = true;
  machine.vm.memmap.setRefcount(page, 1 + GUP_PIN_COUNTING_BIAS);
  clear(machine, process, "4");
  expect(mm.pageTable.flags(entry) & (Pte.write | Pte.softDirty)).toBe(Pte.write | Pte.softDirty);
});

test("4 does nothing in a kernel that doesn't track writes", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  const entry = touch(mapAt(mm, START, START + 0x1000), START);
  const flags = mm.pageTable.flags(entry);
  clear(machine, process, "4", false);
  expect(mm.pageTable.flags(entry)).toBe(flags);
});

test("4 tells who mirrors the address space, before and after", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  const entry = touch(mapAt(mm, START, START + 0x1000), START);
  const heard: string[] = [];
  const writable = (): string => ((mm.pageTable.flags(entry) & Pte.write) !== 0 ? "writable" : "read-only");
  const ops = {
    *invalidateRangeStart(_notifier: unknown, { event }: MmuNotifierRange) {
      heard.push(`start ${event} ${writable()}`);
      return true;
    },
    *invalidateRangeEnd(_notifier: unknown, { event }: MmuNotifierRange) {
      heard.push(`end ${event} ${writable()}`);
    },
  };
  machine.run(mmuNotifierRegister(new MmuNotifier(ops, undefined), mm));
  clear(machine, process, "1");
  clear(machine, process, "4");
  expect(heard).toEqual(["start soft_dirty writable", "end soft_dirty read-only"]);
});

test("5 makes the peak of resident pages what is resident now", () => {
  const { machine, process, mm, use } = withBoth();
  mm.hiwaterRss = 1000;
  clear(machine, process, "5");
  expect(mm.hiwaterRss).toBe(2);
  expect(use()).toEqual([true, true]);
});

test("anything else is refused: EINVAL, or ERANGE for what is no int", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  for (const bad of ["0", "6", "-1", "x", "0x1", "\n", "1 2"])
    expect(() => clear(machine, process, bad)).toThrow(/EINVAL/);
  expect(() => clear(machine, process, "9999999999")).toThrow(/ERANGE/);
});

test("frames that nobody counts are left as they are", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  const vma = mapAt(mm, START, START + 0x1000, { flags: RW | VmFlag.PFNMAP });
  const entry = touch(vma, START);
  const flags = mm.pageTable.flags(entry);
  clear(machine, process, "4");
  clear(machine, process, "1");
  expect(mm.pageTable.flags(mm.pageTable.find(virtAddr(START)))).toBe(flags);
});
