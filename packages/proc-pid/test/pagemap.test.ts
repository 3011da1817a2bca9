import { type Page, virtAddr } from "@hetmem/kernel";
import { VmFlag } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { EntryKind, PMD_SIZE, Pte, swapFlags, TASK_SIZE } from "@hetmem/page-table";
import { fileAt, mapAt, RW, touch, touchFile } from "@hetmem/test-machines/hand-mapped";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { pagemap, PageMapBit } from "../src/pagemap.ts";
import { procPidTable } from "../src/proc-pid.ts";

const START = 0x7f00_0000_0000;
const { present, exclusive, file: fileBit, softDirty, swap } = PageMapBit;

function process() {
  const machine = vmMachine();
  const one = machine.spawn();
  const mm = mmOf(one);
  const frame = (entry: number): bigint =>
    BigInt(machine.vm.memmap.pageToPfn(mm.pageTable.value(entry) as Page));
  return { machine, mm, pid: one.pid, frame };
}

test("a page that was written is present, the process's alone, and at its frame", () => {
  const { mm, frame } = process();
  const vma = mapAt(mm, START, START + 0x2000);
  const entry = touch(vma, START);
  // The capture, whose kernel tracks no writes: 8100000000001ec9, and 0 for an untouched page.
  expect([...pagemap(mm, vma.start, 2, { privileged: true, softDirty: false })]).toEqual([
    0x8100_0000_0000_0000n | frame(entry),
    0n,
  ]);
  expect(pagemap(mm, vma.start, 1)[0]).toBe(present | exclusive | softDirty | frame(entry));
});

test("the zero page is present and nobody's", () => {
  const { machine, mm } = process();
  const vma = mapAt(mm, START, START + 0x1000);
  touch(vma, START, "read");
  // The capture: 8000000000002314.
  expect(pagemap(mm, vma.start, 1)[0]).toBe(present | BigInt(machine.vm.zeroPfn));
});

test("a page on a device looks swapped, of a type behind the swap devices, at its frame", () => {
  const { mm, frame } = process();
  const vma = mapAt(mm, START, START + 0x1000);
  const entry = touch(vma, START);
  const page = mm.pageTable.value(entry);
  const seen = (kind: number): bigint => {
    mm.pageTable.set(entry, page, kind);
    return pagemap(mm, vma.start, 1)[0] ?? 0n;
  };
  // The captures: 41000001f9fffffa on the device writable, …fb for reading.
  expect(seen(EntryKind.devicePrivateWrite)).toBe(0x4100_0000_0000_0000n | (frame(entry) << 5n) | 0x1an);
  expect(seen(EntryKind.devicePrivateRead)).toBe(0x4100_0000_0000_0000n | (frame(entry) << 5n) | 0x1bn);
});

test("a page that is being moved isn't said to be anybody's alone", () => {
  const { mm, frame } = process();
  const vma = mapAt(mm, START, START + 0x1000);
  const entry = touch(vma, START);
  mm.pageTable.set(entry, mm.pageTable.value(entry), EntryKind.migrationWrite);
  expect(pagemap(mm, vma.start, 1)[0]).toBe(swap | (frame(entry) << 5n) | 25n);
});

test("a page in swap shows its device and its slot", () => {
  const { mm } = process();
  const vma = mapAt(mm, START, START + 0x1000);
  const entry = touch(vma, START);
  mm.pageTable.set(entry, 0x1234, swapFlags(3) | Pte.softDirty);
  expect(pagemap(mm, vma.start, 1)[0]).toBe(swap | softDirty | (0x1234n << 5n) | 3n);
});

test("a page of a file says so, and isn't exclusive where another maps it", () => {
  const { machine, mm } = process();
  const vma = mapAt(mm, START, START + 0x2000, { file: fileAt(machine.vm, "/f", 1) });
  const alone = touchFile(vma, START, { state: PageFlag.dirty });
  const shared = touchFile(vma, START + 0x1000, { others: 1 });
  const pfn = (page: Page): bigint => BigInt(machine.vm.memmap.pageToPfn(page));
  expect([...pagemap(mm, vma.start, 2)]).toEqual([
    present | fileBit | exclusive | pfn(alone),
    present | fileBit | pfn(shared),
  ]);
});

test("whoever isn't privileged learns what is there, not where", () => {
  const { mm } = process();
  const vma = mapAt(mm, START, START + 0x1000);
  touch(vma, START);
  expect(pagemap(mm, vma.start, 1, { privileged: false, softDirty: true })[0]).toBe(
    present | exclusive | softDirty,
  );
});

test("a new mapping is soft-dirty all over, touched or not, and what is outside of it isn't", () => {
  const { mm } = process();
  mapAt(mm, START + 0x1000, START + 0x2000, { flags: RW | VmFlag.SOFTDIRTY });
  expect([...pagemap(mm, virtAddr(START), 3)]).toEqual([0n, softDirty, 0n]);
});

test("each page of 2 MiB has an entry with its own frame", () => {
  const { machine, mm } = process();
  const vma = mapAt(mm, START, START + PMD_SIZE);
  const head = machine.vm.memmap.pfnToPage(machine.vm.zeroPfn);
  const pmd = mm.pageTable.ensurePmd(vma.start);
  const frame = BigInt(machine.vm.zeroPfn);
  mm.pageTable.set(pmd, head, Pte.present | Pte.huge);
  const entries = pagemap(mm, virtAddr(START + 0x3000), 2);
  expect([...entries]).toEqual([present | fileBit | (frame + 3n), present | fileBit | (frame + 4n)]);
});

test("the file gives the same bytes at any offset, and ends where addresses end", () => {
  const { machine, mm, pid } = process();
  const vma = mapAt(mm, START + PMD_SIZE - 0x1000, START + PMD_SIZE + 0x1000);
  touch(vma, vma.start);
  touch(vma, vma.start + 0x1000);
  const vfs = new Vfs();
  vfs.mount(procPidTable(machine.vm));
  const file = vfs.open(`/proc/${pid}/pagemap`, "read");
  const offset = (vma.start / 4096) * 8;
  const bytes = machine.run(file.readAt(offset, 16));
  expect(new Uint8Array(pagemap(mm, vma.start, 2).buffer)).toEqual(bytes);
  expect(machine.run(file.readAt(offset + 3, 7))).toEqual(bytes.subarray(3, 10));
  expect(machine.run(file.readAt((TASK_SIZE / 4096) * 8 - 8, 4096))).toHaveLength(8);
  expect(() => machine.run(file.read())).toThrow(/EINVAL/);
  expect(vfs.stat(`/proc/${pid}/pagemap`).mode).toBe(0o400);
});
