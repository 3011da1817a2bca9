// get_user_pages() and pin_user_pages(): which pages they give, what they fault in, what they refuse, and what they leave.
import { KernelBug, type Page, run, virtAddr } from "@hetmem/kernel";
import { forkProcess, type MmStruct, type Process, type Vm, VmFlag } from "@hetmem/mm";
import { type FollOptions, GUP_PIN_COUNTING_BIAS, pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import { PageFlag } from "@hetmem/page";
import { EntryKind, Pte } from "@hetmem/page-table";
import { entryAt, mapAt, RW } from "@hetmem/test-machines/hand-mapped";
import { getUserPages, getUserPagesRemote, pinUserPages } from "@hetmem/test-machines/locked-calls";
import { BASE, entryOf, pageOf, read, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { NodeStat } from "@hetmem/zone";
import { describe, expect, test } from "vitest";
import * as unlocked from "../src/gup.ts";
import { putUserPages, unpinUserPages, unpinUserPagesDirty } from "../src/unpin.ts";
import { outcome } from "@hetmem/test-machines/outcome";

const RO = RW & ~VmFlag.WRITE;
const NONE = RW & ~(VmFlag.READ | VmFlag.WRITE);

interface Place {
  readonly machine: VmMachine;
  readonly vm: Vm;
  readonly process: Process;
  readonly mm: MmStruct;
}

function place(pages = 8, flags = RW): Place {
  const machine = vmMachine();
  const process = machine.spawn();
  withMemory(process, pages, flags);
  return { machine, vm: machine.vm, process, mm: mmOf(process) };
}

const at = (index: number) => virtAddr(BASE + index * 4096);
const get = (mm: MmStruct, first: number, count: number, options: FollOptions = {}): Page[] =>
  run(getUserPages(mm, at(first), count, options));
const pin = (mm: MmStruct, first: number, count: number, options: FollOptions = {}): Page[] =>
  run(pinUserPages(mm, at(first), count, options));

const pinsOf = ({ memory }: Vm): readonly [number, number] => {
  const sum = (item: number): number => memory.nodes.reduce((all, node) => all + (node?.stat[item] ?? 0), 0);
  return [sum(NodeStat.nr_foll_pin_acquired), sum(NodeStat.nr_foll_pin_released)];
};

describe("getUserPages", () => {
  test("gives the pages that the process uses, each with a reference more", () => {
    const { vm, process, mm } = place();
    write(process, 0, "a");
    write(process, 1, "b");
    const before = [0, 1].map((index) => vm.memmap.refcount(pageOf(process, index)));
    const pages = get(mm, 0, 2, { write: true });
    expect(pages).toEqual([pageOf(process, 0), pageOf(process, 1)]);
    expect(pages.map((page) => vm.memmap.refcount(page))).toEqual(before.map((count) => count + 1));
    putUserPages(vm, pages);
    expect(pages.map((page) => vm.memmap.refcount(page))).toEqual(before);
  });

  test("faults in what isn't there: pages of its own to write to, the zero page to read from", () => {
    const { vm, process, mm } = place();
    const written = get(mm, 0, 2, { write: true });
    expect(written).toEqual([pageOf(process, 0), pageOf(process, 1)]);
    expect(get(mm, 4, 1)).toEqual([vm.zeroPage]);
    expect(entryOf(process, 4)[1] & Pte.special).not.toBe(0);
  });

  test("breaks copy on write for who writes, and shares for who reads", () => {
    const { vm, process } = place();
    write(process, 0, "parent");
    const child = run(forkProcess(process));
    const shared = pageOf(process, 0);
    expect(get(mmOf(child), 0, 1)).toEqual([shared]);
    putUserPages(vm, [shared]);
    const [own] = get(mmOf(child), 0, 1, { write: true });
    expect(own).not.toBe(shared);
    expect(own).toBe(pageOf(child, 0));
    expect(read(child, 0, 6)).toBe("parent");
  });

  test("marks what it gives as used, and as dirty where the entry isn't yet and it is to be written", () => {
    const { vm, process, mm } = place();
    write(process, 0, "x");
    const page = pageOf(process, 0);
    const { pageTable } = mm;
    const entry = entryAt(mm, BASE);
    pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.dirty);
    vm.memmap.clear(page, PageFlag.dirty | PageFlag.referenced);
    get(mm, 0, 1);
    expect(vm.memmap.test(page, PageFlag.referenced)).toBe(true);
    expect(vm.memmap.test(page, PageFlag.dirty)).toBe(false);
    get(mm, 0, 1, { write: true });
    expect(vm.memmap.test(page, PageFlag.dirty)).toBe(true);
  });

  test("crosses from one mapping to the next, and gives what it has where the range ends first", () => {
    const { mm } = place(4);
    mapAt(mm, at(4), at(6));
    expect(get(mm, 2, 4, { write: true })).toHaveLength(4);
    expect(get(mm, 2, 100, { write: true })).toHaveLength(4);
  });

  test("of no pages is no error, wherever that is", () => {
    const { mm } = place();
    expect(run(getUserPages(mm, virtAddr(0x1000), 0, {}))).toEqual([]);
  });

  test("without the mmap lock is a bug, whatever kind of reference is asked for", () => {
    const { mm } = place();
    const calls = [
      unlocked.getUserPages,
      unlocked.getUserPagesRemote,
      unlocked.pinUserPages,
      unlocked.pinUserPagesRemote,
    ];
    for (const call of calls)
      expect(() => run(call(mm, at(0), 1, {}))).toThrow(
        `mm ${mm.id} is asked for pages without its mmap lock`,
      );
    expect(run(unlocked.getUserPages(mm, at(0), 0, {}))).toEqual([]);
  });

  test.each([
    ["nothing is mapped", NaN, {}],
    ["the mapping isn't readable", NONE, {}],
    ["the mapping isn't writable", RO, { write: true }],
    ["the mapping is of a device's registers", RW | VmFlag.IO, {}],
    ["the mapping is of frames without struct pages", RW | VmFlag.PFNMAP, {}],
    ["a shared mapping isn't writable, whatever the force", RO | VmFlag.SHARED, { write: true, force: true }],
    ["no fault is wanted, and the page isn't there", RW, { noFault: true }],
    ["there is a hole, and a core file is written", RW, { dump: true }],
  ] satisfies [string, number, FollOptions][])("says EFAULT where %s", (_name, flags, options) => {
    const { mm } = place(8, Number.isNaN(flags) ? RW : flags);
    expect(outcome(() => get(mm, Number.isNaN(flags) ? 100 : 0, 1, options))).toBe("EFAULT");
  });

  test("says EFAULT for a mapping of a file where anonymous memory was asked for", () => {
    const { mm } = place();
    mapAt(mm, at(100), at(101), { ops: {} });
    expect(outcome(() => get(mm, 100, 1, { anon: true }))).toBe("EFAULT");
  });

  test("says why, of the first page only", () => {
    const { mm } = place(2);
    expect(() => get(mm, 2, 1)).toThrow(/0x7f0000002000 can't be reached: nothing is mapped there/);
    expect(get(mm, 1, 2)).toHaveLength(1);
  });

  test("may write with force where a debugger may: into a copy of the process's own, which stays read-only", () => {
    const { process, mm } = place(8, RO);
    read(process, 0, 1);
    const [page] = get(mm, 0, 1, { write: true, force: true });
    expect(page).toBe(pageOf(process, 0));
    expect(entryOf(process, 0)[1] & Pte.write).toBe(0);
    expect(get(mm, 0, 1, { write: true, force: true })).toEqual([page]);
  });

  test("may read with force what the process has made unreadable", () => {
    const { mm } = place(8, NONE);
    expect(get(mm, 0, 1, { force: true })).toHaveLength(1);
  });

  test("does not wait where it must not: swap, migrations and devices are left alone", () => {
    const { process, mm } = place();
    write(process, 0, "x");
    const entry = entryAt(mm, at(1));
    mm.pageTable.set(entry, pageOf(process, 0), EntryKind.migrationWrite);
    expect(get(mm, 0, 3, { nowait: true })).toHaveLength(1);
    expect(get(mm, 1, 1, { nowait: true })).toEqual([]);
    mm.pageTable.clear(entry);
  });

  test("says of bad memory what the caller understands", () => {
    const { mm } = place();
    const entry = entryAt(mm, at(0));
    mm.pageTable.set(entry, 1, EntryKind.hwpoison);
    expect(outcome(() => get(mm, 0, 1))).toBe("EFAULT");
    expect(outcome(() => get(mm, 0, 1, { hwpoison: true }))).toBe("EHWPOISON");
    mm.pageTable.clear(entry);
  });

  test("ends when its process is being killed, but not when another's is looked at", () => {
    const { process, mm } = place();
    process.killed = true;
    expect(outcome(() => get(mm, 0, 1))).toBe("EINTR");
    expect(run(getUserPagesRemote(mm, at(0), 1, {}))).toHaveLength(1);
  });

  test("keeps a page alive that the process unmaps", () => {
    const { vm, process, mm } = place();
    write(process, 0, "kept");
    const [page] = get(mm, 0, 1) as [Page];
    const free = vm.memmap.refcount(page);
    expect(free).toBe(2);
    expect(outcome(() => get(mm, 0, 1, { longterm: true }))).toBe("EINVAL");
  });
});

describe("pinUserPages", () => {
  test("counts a pin as 1024 references, and counts pins taken and given back", () => {
    const { vm, process, mm } = place();
    write(process, 0, "x");
    const page = pageOf(process, 0);
    expect(pageMaybeDmaPinned(vm, page)).toBe(false);
    const pages = pin(mm, 0, 1, { write: true });
    expect(vm.memmap.refcount(page)).toBe(1 + GUP_PIN_COUNTING_BIAS);
    expect(pageMaybeDmaPinned(vm, page)).toBe(true);
    expect(pinsOf(vm)).toEqual([1, 0]);
    unpinUserPages(vm, pages);
    expect(vm.memmap.refcount(page)).toBe(1);
    expect(pinsOf(vm)).toEqual([1, 1]);
  });

  test("leaves the zero page unpinned", () => {
    const { vm, mm } = place();
    const before = vm.memmap.refcount(vm.zeroPage);
    const pages = pin(mm, 0, 1);
    expect(pages).toEqual([vm.zeroPage]);
    expect(vm.memmap.refcount(vm.zeroPage)).toBe(before);
    unpinUserPages(vm, pages);
    expect(pinsOf(vm)).toEqual([0, 0]);
  });

  test("makes a shared page the process's own first, even to read from it", () => {
    const { vm, process, mm } = place();
    write(process, 0, "mine");
    const child = run(forkProcess(process));
    const shared = pageOf(process, 0);
    const [page] = pin(mm, 0, 1) as [Page];
    expect(page).not.toBe(shared);
    expect(page).toBe(pageOf(process, 0));
    expect(vm.memmap.test(page, PageFlag.anonExclusive)).toBe(true);
    expect(read(process, 0, 4)).toBe("mine");
    expect(pageOf(child, 0)).toBe(shared);
  });

  test("keeps its page through a fork: the child gets a copy, and what the parent writes reaches the pinned page", () => {
    const { process, mm, vm } = place();
    write(process, 0, "before");
    const [page] = pin(mm, 0, 1, { write: true }) as [Page];
    const child = run(forkProcess(process));
    expect(pageOf(child, 0)).not.toBe(page);
    write(process, 0, "behind");
    expect(pageOf(process, 0)).toBe(page);
    expect(read(child, 0, 6)).toBe("before");
    unpinUserPages(vm, [page]);
  });

  test("marks pages dirty as it gives them back, if told so", () => {
    const { vm, process, mm } = place();
    write(process, 0, "x");
    const pages = pin(mm, 0, 1, { write: true });
    vm.memmap.clear(pages[0] as Page, PageFlag.dirty);
    run(unpinUserPagesDirty(vm, pages));
    expect(vm.memmap.test(pages[0] as Page, PageFlag.dirty)).toBe(true);
    expect(vm.memmap.refcount(pages[0] as Page)).toBe(1);
  });

  test("notes that its address space was pinned: forks look then", () => {
    const { mm } = place();
    expect(mm.hasPinned).toBe(false);
    pin(mm, 0, 1);
    expect(mm.hasPinned).toBe(true);
  });

  test("finds a pin that is given back twice, and one of a page that others may map by now", () => {
    const { vm, process, mm } = place();
    write(process, 0, "x");
    const pages = pin(mm, 0, 1, { write: true });
    vm.memmap.clear(pages[0] as Page, PageFlag.anonExclusive);
    expect(() => unpinUserPages(vm, pages)).toThrow(KernelBug);
    vm.memmap.set(pages[0] as Page, PageFlag.anonExclusive);
    unpinUserPages(vm, pages);
    expect(() => unpinUserPages(vm, pages)).toThrow(KernelBug);
  });
});
