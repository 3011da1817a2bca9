import type { Page } from "@hetmem/kernel";
import { valueEntry } from "@hetmem/kernel/lib";
import { forkProcess, type Process, VmFlag } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import { PageFlag } from "@hetmem/page";
import { ShmemInode, ShmemMount } from "@hetmem/page-cache";
import { EntryKind, Pte, swapFlags } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { busybox, captured } from "@hetmem/test-machines/busybox";
import { entryAt, fileAt, mapAt, RW, touch, touchFile } from "@hetmem/test-machines/hand-mapped";
import { mmOf, type VmMachine, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { procPidTable } from "../src/proc-pid.ts";

const START = 0x7f00_0000_0000;

function textOf(
  machine: VmMachine,
  process: Process,
  name: "smaps" | "smaps_rollup",
  softDirty = true,
): string {
  const vfs = new Vfs();
  vfs.mount(procPidTable(machine.vm, { softDirty }));
  return machine.run(vfs.read(`/proc/${process.pid}/${name}`));
}

/** Kilobytes, or letters, of the first mapping. */
function value(text: string, label: string): string | undefined {
  return new RegExp(`^${label}: *(.*?)(?: kB)?$`, "m").exec(text)?.[1];
}

/** The sizes that aren't zero. */
function sizes(text: string): Record<string, number> {
  const [first = ""] = text.split(/\n(?=[0-9a-f]+-)/);
  return Object.fromEntries(
    [...first.matchAll(/^(\w+): +(\d+) kB$/gm)]
      .filter(([, label = "", size]) => size !== "0" && !label.endsWith("PageSize"))
      .map(([, label = "", size]) => [label, Number(size)]),
  );
}

test("the smaps of busybox is what its kernel printed, every line of it", () => {
  const machine = vmMachine();
  expect(textOf(machine, busybox(machine), "smaps")).toBe(captured("smaps"));
});

test("smaps_rollup has the lines of the capture in their order, and the sums of smaps", () => {
  const machine = vmMachine();
  const process = busybox(machine);
  const rollup = textOf(machine, process, "smaps_rollup");
  const shape = (text: string): string => text.replaceAll(/ {2,}\d+ kB/g, "    N kB").replace(/-\w+/, "-END");
  expect(shape(rollup)).toBe(shape(captured("smaps_rollup")));
  const sum = (label: string): number =>
    [...captured("smaps").matchAll(new RegExp(`^${label}: +(\\d+) kB$`, "gm"))].reduce(
      (total, [, size]) => total + Number(size),
      0,
    );
  for (const label of ["Rss", "Shared_Dirty", "Private_Dirty", "Referenced", "Anonymous"])
    expect(value(rollup, label)).toBe(`${sum(label)}`);
  expect(rollup.split("\n")[0]).toBe(
    "00400000-7ffe011f7000 ---p 00000000 00:00 0                              [rollup]",
  );
});

test("a page that a child shares is half of each one's, until it is written", () => {
  const machine = vmMachine();
  const parent = machine.spawn();
  const vma = mapAt(mmOf(parent), START, START + 3 * 4096);
  touch(vma, START);
  touch(vma, START + 4096);
  const child = machine.run(forkProcess(parent));
  for (const process of [parent, child]) {
    expect(sizes(textOf(machine, process, "smaps"))).toMatchObject({
      Size: 12,
      Rss: 8,
      Pss: 4,
      Shared_Dirty: 8,
    });
  }
});

test("thirds of pages add up: shares are kept in 4096ths of a byte", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const file = fileAt(machine.vm, "/lib/libc.so", 7);
  const vma = mapAt(mmOf(process), START, START + 3 * 4096, { file, flags: RW & ~VmFlag.WRITE });
  for (let i = 0; i < 3; i++) touchFile(vma, START + i * 4096, { others: 2 });
  // Three times 1365⅓ bytes, each rounded down by less than a 4096th: a bit short of 4096.
  expect(sizes(textOf(machine, process, "smaps"))).toEqual({
    Size: 12,
    Rss: 12,
    Pss: 3,
    Shared_Clean: 12,
    Referenced: 12,
  });
});

test("the zero page and an untouched page are nobody's", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const vma = mapAt(mmOf(process), START, START + 4 * 4096);
  touch(vma, START, "read");
  expect(sizes(textOf(machine, process, "smaps"))).toEqual({ Size: 16 });
});

test("a page is referenced by the entry's bit or by the page's", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const { pageTable } = mmOf(process);
  const vma = mapAt(mmOf(process), START, START + 2 * 4096);
  const entries = [touch(vma, START), touch(vma, START + 4096)];
  for (const entry of entries) pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.accessed);
  machine.vm.memmap.set(pageTable.value(entries[0] ?? 0) as Page, PageFlag.referenced);
  expect(sizes(textOf(machine, process, "smaps"))).toMatchObject({ Rss: 8, Referenced: 4 });
});

test("a clean anonymous page that isn't kept in swap is lazily freed", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const { pageTable } = mmOf(process);
  const entry = touch(mapAt(mmOf(process), START, START + 4096), START);
  machine.vm.memmap.clear(pageTable.value(entry) as Page, PageFlag.swapbacked);
  expect(sizes(textOf(machine, process, "smaps"))).not.toHaveProperty("LazyFree");
  pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.dirty);
  expect(sizes(textOf(machine, process, "smaps"))).toMatchObject({ LazyFree: 4, Private_Clean: 4 });
});

test("a page on a device is resident, and used by the device rather than by the process", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const { pageTable } = mmOf(process);
  const entry = touch(mapAt(mmOf(process), START, START + 4096), START);
  const page = pageTable.value(entry) as Page;
  machine.vm.memmap.set(page, PageFlag.dirty);
  pageTable.set(entry, page, EntryKind.devicePrivateWrite | Pte.accessed);
  // As the capture of test_hmm has it "on device".
  expect(sizes(textOf(machine, process, "smaps"))).toEqual({
    Size: 4,
    Rss: 4,
    Pss: 4,
    Pss_Dirty: 4,
    Private_Dirty: 4,
    Anonymous: 4,
  });
});

test("a page that is being moved counts as its mapping's alone", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const { memmap } = machine.vm;
  const { pageTable } = mmOf(process);
  const entry = touch(mapAt(mmOf(process), START, START + 4096), START);
  const page = pageTable.value(entry) as Page;
  memmap.getPage(page);
  memmap.setMapcount(page, 3);
  pageTable.set(entry, page, EntryKind.migrationRead);
  expect(sizes(textOf(machine, process, "smaps"))).toMatchObject({ Rss: 4, Pss: 4, Private_Clean: 4 });
});

test("locked memory is told by its share", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const vma = mapAt(mmOf(process), START, START + 2 * 4096, {
    flags: RW | VmFlag.LOCKED | VmFlag.LOCKONFAULT,
  });
  touch(vma, START);
  const text = textOf(machine, process, "smaps");
  expect(value(text, "Locked")).toBe("4");
  expect(value(text, "VmFlags")).toBe("rd wr mr mw me lo ?? ");
});

test("a mapping may get huge pages when 2 MiB fit in it and the administrator lets it", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  mapAt(mm, START + 4096, START + 2 ** 21 + 2 ** 20, { flags: RW | VmFlag.HUGEPAGE });
  mapAt(mm, START + 2 ** 22, START + 2 ** 23, { flags: RW | VmFlag.HUGEPAGE });
  const eligible = (): string[] =>
    [...textOf(machine, process, "smaps").matchAll(/THPeligible: {4}(\d)/g)].map(([, yes = ""]) => yes);
  expect(eligible()).toEqual(["0", "1", "0"]);
  machine.vm.tunables.transparentHugepage = "never";
  expect(eligible()).toEqual(["0", "0", "0"]);
});

test("soft-dirty is a flag of kernels that keep track of it", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  mapAt(mmOf(process), START, START + 4096, { flags: RW | VmFlag.SOFTDIRTY | VmFlag.ACCOUNT });
  expect(value(textOf(machine, process, "smaps"), "VmFlags")).toBe("rd wr mr mw me ac sd ");
  expect(value(textOf(machine, process, "smaps", false), "VmFlags")).toBe("rd wr mr mw me ac ");
});

test("frames that nobody counts aren't looked at", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  mapAt(mm, START, START + 4096, { flags: RW | VmFlag.PFNMAP, ops: {} });
  mm.pageTable.set(entryAt(mm, START), 5, Pte.present | Pte.special);
  expect(sizes(textOf(machine, process, "smaps"))).toEqual({ Size: 4 });
});

/** Memory that is shared, of eight pages, of which the last four are in swap. */
function halfSwapped({ vm }: VmMachine): FileObject {
  const file = fileAt(vm, "/dev/shm/x", 1);
  const { mapping: plain } = file;
  if (!plain) throw new Error();
  const inode = new ShmemInode(vm, new ShmemMount({ major: 0, minor: 1 }), plain.ops);
  inode.size = 8 * 4096;
  for (let i = 4; i < 8; i++) inode.mapping.pages.store(i, valueEntry(i));
  return { ...file, mapping: inode.mapping };
}

test("a shared mapping of memory that is swapped out counts what its part of the file has in swap", () => {
  const machine = vmMachine();
  const file = halfSwapped(machine);
  const swapOf = (pgoff: number, pages: number, flags: number): number | undefined => {
    const process = machine.spawn();
    mapAt(mmOf(process), START, START + pages * 4096, { file, pgoff, flags });
    return sizes(textOf(machine, process, "smaps"))["Swap"];
  };
  expect(swapOf(0, 8, RW | VmFlag.SHARED)).toBe(16);
  expect(swapOf(2, 3, RW | VmFlag.SHARED)).toBe(4);
  expect(swapOf(0, 4, RW & ~VmFlag.WRITE)).toBeUndefined();
});

test("a private mapping counts swap only where it has no page of its own", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const vma = mapAt(mmOf(process), START, START + 8 * 4096, { file: halfSwapped(machine) });
  const swap = (): number | undefined => sizes(textOf(machine, process, "smaps"))["Swap"];
  expect(swap()).toBe(16);
  touch(vma, START + 5 * 4096);
  expect(swap()).toBe(12);
});

test("a page in swap is told with its share of the slot", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const { pageTable } = mmOf(process);
  const device = swapSpace(machine.vm).swapon({ path: "/dev/vda", size: 2 ** 20 });
  const entry = touch(mapAt(mmOf(process), START, START + 4096), START);
  const slot = device.allocSlot();
  for (let users = 0; users < 2; users++) device.duplicate(slot);
  pageTable.set(entry, slot, swapFlags(device.type));
  expect(sizes(textOf(machine, process, "smaps"))).toEqual({ Size: 4, Swap: 4, SwapPss: 2 });
});
