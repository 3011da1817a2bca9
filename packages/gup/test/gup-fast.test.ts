// get_user_pages_fast(): what the lockless walk gives, where it stops, and what the slow path adds.
import { type Page, type Preempt, run, virtAddr } from "@hetmem/kernel";
import { forkProcess, Madv, type MmStruct, type Process, type Vm, type Vma } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { compoundPincount, Foll, GUP_PIN_COUNTING_BIAS, pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import { MAPPING_ANON } from "@hetmem/mm/rmap";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { PMD_SIZE, Pte, TASK_SIZE } from "@hetmem/page-table";
import { entryAt, mapAt, touch } from "@hetmem/test-machines/hand-mapped";
import { getUserPages, pinUserPages } from "@hetmem/test-machines/locked-calls";
import { BASE, pageOf, read, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { GFP_TRANSHUGE, NodeStat } from "@hetmem/zone";
import { beforeEach, describe, expect, test } from "vitest";
import {
  getUserPagesFast,
  getUserPagesFastOnly,
  pinUserPagesFast,
  pinUserPagesFastOnly,
} from "../src/fast.ts";
import { walkLockless } from "../src/lockless-walk.ts";
import { putUserPages, unpinUserPages } from "../src/unpin.ts";
import { outcome } from "@hetmem/test-machines/outcome";

const at = (index: number) => virtAddr(BASE + index * 4096);
const PAGES = 1100;

let machine: VmMachine;
let vm: Vm;
let process: Process;
let mm: MmStruct;
let vma: Vma;
let into: Int32Array;

beforeEach(() => {
  machine = vmMachine();
  vm = machine.vm;
  process = machine.spawn();
  mm = mmOf(process);
  vma = withMemory(process, PAGES);
  into = new Int32Array(PAGES);
});

function fill(first: number, count: number): void {
  for (let i = first; i < first + count; i++) touch(vma, at(i));
}

describe("the lockless walk", () => {
  test("gives what the slow one gives, over several tables", () => {
    fill(0, PAGES);
    expect(getUserPagesFastOnly(mm, at(0), PAGES, { write: true }, into)).toBe(PAGES);
    const slow = run(getUserPages(mm, at(0), PAGES, { write: true }));
    expect([...into]).toEqual(slow);
    for (const page of slow) expect(vm.memmap.refcount(page)).toBe(3);
    putUserPages(vm, slow);
    putUserPages(vm, into);
    for (const page of slow) expect(vm.memmap.refcount(page)).toBe(1);
  });

  test("stops at the first entry that isn't there, and takes no lock for it", () => {
    fill(0, 700);
    run(mm.mmapLock.downWrite());
    expect(getUserPagesFastOnly(mm, at(0), PAGES, {}, into)).toBe(700);
    mm.mmapLock.upWrite();
  });

  test("takes pages that others map, but not to write to them, and no pins on them", () => {
    fill(0, 2);
    run(forkProcess(process));
    expect(getUserPagesFastOnly(mm, at(0), 2, {}, into)).toBe(2);
    expect(getUserPagesFastOnly(mm, at(0), 2, { write: true }, into)).toBe(0);
    expect(pinUserPagesFastOnly(mm, at(0), 2, {}, into)).toBe(0);
    expect(vm.memmap.refcount(pageOf(process, 0))).toBe(3);
  });

  test("leaves the zero page, NUMA hints and registers to the slow one", () => {
    read(process, 0, 1);
    fill(1, 1);
    const entry = entryAt(mm, at(1));
    expect(getUserPagesFastOnly(mm, at(0), 1, {}, into)).toBe(0);
    mm.pageTable.setFlags(entry, mm.pageTable.flags(entry) | Pte.protnone);
    expect(getUserPagesFastOnly(mm, at(1), 1, {}, into)).toBe(0);
    mm.pageTable.setFlags(entry, mm.pageTable.flags(entry) & ~Pte.protnone);
    expect(getUserPagesFastOnly(mm, at(1), 1, {}, into)).toBe(1);
  });

  test("notes that the address space was pinned, before it pins", () => {
    expect(pinUserPagesFastOnly(mm, at(0), 1, {}, into)).toBe(0);
    expect(mm.hasPinned).toBe(true);
  });

  test("takes no pins while a fork write-protects the address space", () => {
    fill(0, 1);
    mm.writeProtectSeq++;
    expect(pinUserPagesFastOnly(mm, at(0), 1, { write: true }, into)).toBe(0);
    expect(getUserPagesFastOnly(mm, at(0), 1, { write: true }, into)).toBe(1);
  });

  test("marks pages as used, and counts pins by node", () => {
    fill(0, 3);
    vm.memmap.clear(pageOf(process, 0), PageFlag.referenced);
    expect(pinUserPagesFastOnly(mm, at(0), 3, { write: true }, into)).toBe(3);
    expect(vm.memmap.test(pageOf(process, 0), PageFlag.referenced)).toBe(true);
    expect(vm.memmap.refcount(pageOf(process, 0))).toBe(1 + GUP_PIN_COUNTING_BIAS);
    const node = vm.memory.nodes[vm.memmap.nodeOf(pageOf(process, 0))];
    expect(node?.stat[NodeStat.nr_foll_pin_acquired]).toBe(3);
  });

  test("gives the last page that a process can have", () => {
    const last = TASK_SIZE - 4096;
    touch(mapAt(mm, last, TASK_SIZE), last);
    expect(getUserPagesFastOnly(mm, virtAddr(last), 1, {}, into)).toBe(1);
  });

  test.each<[string, (entry: number) => void]>([
    ["is write-protected", (entry) => mm.pageTable.setFlags(entry, mm.pageTable.flags(entry) & ~Pte.write)],
    ["maps another page", (entry) => mm.pageTable.set(entry, pageOf(process, 1), mm.pageTable.flags(entry))],
  ])("drops a page whose entry %s before the second look", (_change, change) => {
    fill(0, 2);
    const page = pageOf(process, 0);
    const walk = walkLockless(mm, at(0), 1, Foll.GET | Foll.WRITE, into);
    walk.next();
    walk.next();
    change(entryAt(mm, at(0)));
    expect(run(walk)).toBe(0);
    expect(vm.memmap.refcount(page)).toBe(1);
  });

  test("drops a page whose table maps it at another address by the second look", () => {
    fill(0, 1);
    const { pageTable } = mm;
    const entry = entryAt(mm, at(0));
    const [page, flags] = [pageOf(process, 0), pageTable.flags(entry)];
    const walk = walkLockless(mm, at(0), 1, Foll.GET | Foll.WRITE, into);
    walk.next();
    walk.next();
    pageTable.clear(entry);
    pageTable.depopulate(pageTable.findPmd(at(0)));
    const elsewhere = entryAt(mm, BASE + 8 * PMD_SIZE);
    expect(elsewhere).toBe(entry);
    pageTable.set(elsewhere, page, flags);
    expect(run(walk)).toBe(0);
    expect(vm.memmap.refcount(page)).toBe(1);
  });

  test("gives nothing of addresses that no process has", () => {
    expect(getUserPagesFastOnly(mm, virtAddr(TASK_SIZE), 1, {}, into)).toBe(0);
    expect(outcome(() => run(getUserPagesFast(mm, virtAddr(TASK_SIZE - 4096), 2, {}, into)))).toBe("EFAULT");
  });
});

describe("getUserPagesFast", () => {
  test("faults in what is missing, and gives it behind what was there", () => {
    fill(0, 3);
    expect(run(getUserPagesFast(mm, at(0), 6, { write: true }, into))).toBe(6);
    expect([...into.subarray(0, 6)]).toEqual([0, 1, 2, 3, 4, 5].map((i) => pageOf(process, i)));
  });

  test("gives what it has where nothing is mapped behind, and says so only for the first page", () => {
    fill(PAGES - 2, 2);
    expect(run(getUserPagesFast(mm, at(PAGES - 2), 5, {}, into))).toBe(2);
    expect(outcome(() => run(getUserPagesFast(mm, at(PAGES), 5, {}, into)))).toBe("EFAULT");
  });

  test("makes a shared page the process's own before it pins it", () => {
    write(process, 0, "mine");
    run(forkProcess(process));
    const shared = pageOf(process, 0);
    expect(run(pinUserPagesFast(mm, at(0), 1, {}, into))).toBe(1);
    expect(into[0]).not.toBe(shared);
    expect(into[0]).toBe(pageOf(process, 0));
  });

  test("gives pins back that a fork may have overlooked, and pins again with the lock", () => {
    fill(0, 2);
    const task = pinUserPagesFast(mm, at(0), 2, { write: true }, into);
    task.next();
    mm.writeProtectSeq += 2;
    expect(run(task)).toBe(2);
    expect(vm.memmap.refcount(pageOf(process, 0))).toBe(1 + GUP_PIN_COUNTING_BIAS);
    const [node] = vm.memory.nodes;
    expect(node?.stat[NodeStat.nr_foll_pin_acquired]).toBe(4);
    expect(node?.stat[NodeStat.nr_foll_pin_released]).toBe(2);
  });

  test.each([1, 2])(
    "gives a page back whose entry has changed by its second look (at preemption %i)",
    (point) => {
      fill(0, 1);
      const old = pageOf(process, 0);
      const task = pinUserPagesFast(mm, at(0), 1, { write: true }, into);
      const why = Array.from({ length: point }, () => (task.next().value as Preempt).why);
      expect(why.at(-1)).toBe(
        point === 1
          ? "gup_fast: entries read, pages not grabbed"
          : "gup_fast: pages grabbed, entries not looked at again",
      );
      run(madvise(mm, at(0), 4096, Madv.DONTNEED));
      expect(run(task)).toBe(1);
      expect(into[0]).toBe(pageOf(process, 0));
      expect(vm.memmap.refcount(into[0] as Page)).toBe(1 + GUP_PIN_COUNTING_BIAS);
      if (into[0] !== old) expect(vm.memmap.refcount(old)).toBe(0);
    },
  );

  test("gives a range of more than a table, and each page one pin", () => {
    fill(0, 600);
    expect(run(pinUserPagesFast(mm, at(0), 700, { write: true }, into))).toBe(700);
    for (let i = 0; i < 700; i++) {
      expect(into[i]).toBe(pageOf(process, i));
      expect(vm.memmap.refcount(pageOf(process, i))).toBe(1 + GUP_PIN_COUNTING_BIAS);
    }
    unpinUserPages(vm, into, 700);
    const [node] = vm.memory.nodes;
    expect(node?.stat[NodeStat.nr_foll_pin_acquired]).toBe(700);
    expect(node?.stat[NodeStat.nr_foll_pin_released]).toBe(700);
  });
});

describe("a huge page", () => {
  const HUGE = 4 * PMD_SIZE;
  let head: Page;

  beforeEach(() => {
    const huge = mapAt(mm, HUGE, HUGE + 2 * PMD_SIZE);
    head = vm.pages.tryAlloc(GFP_TRANSHUGE, 9, mm.node, mm);
    expect(head).not.toBe(NULL_PAGE);
    vm.memmap.setMapping(head, (vm.anonVmas.prepare(huge).id << 1) | MAPPING_ANON);
    vm.memmap.set(head, PageFlag.anonExclusive);
    const pmd = mm.pageTable.ensurePmd(virtAddr(HUGE));
    mm.pageTable.set(pmd, head, Pte.present | Pte.write | Pte.accessed | Pte.dirty | Pte.huge);
  });

  const address = (index: number) => virtAddr(HUGE + index * 4096);

  test("gives its small pages, and counts references on its head", () => {
    expect(run(getUserPagesFast(mm, address(10), 20, { write: true }, into))).toBe(20);
    expect([...into.subarray(0, 20)]).toEqual(Array.from({ length: 20 }, (_, i) => head + 10 + i));
    expect(vm.memmap.refcount(head)).toBe(21);
    expect(vm.memmap.refcount((head + 10) as Page)).toBe(0);
    putUserPages(vm, into, 20);
    expect(vm.memmap.refcount(head)).toBe(1);
  });

  test("counts pins exactly, apart from references", () => {
    const slow = run(pinUserPages(mm, address(0), 3, { write: true }));
    expect(slow).toEqual([head, head + 1, head + 2]);
    expect(pinUserPagesFastOnly(mm, address(500), 12, { write: true }, into)).toBe(12);
    expect([compoundPincount(vm.memmap, head), vm.memmap.refcount(head)]).toEqual([15, 16]);
    expect(pageMaybeDmaPinned(vm, (head + 7) as Page)).toBe(true);
    unpinUserPages(vm, slow);
    unpinUserPages(vm, into, 12);
    expect([compoundPincount(vm.memmap, head), vm.memmap.refcount(head)]).toEqual([0, 1]);
    expect(pageMaybeDmaPinned(vm, head)).toBe(false);
  });

  test("with two thousand references is not taken to be pinned", () => {
    for (let i = 0; i < 2000; i++) expect(getUserPagesFastOnly(mm, address(0), 1, {}, into)).toBe(1);
    expect(pageMaybeDmaPinned(vm, head)).toBe(false);
  });

  test("ends where it ends: the walk goes on behind it", () => {
    touch(mm.vmas.at(virtAddr(HUGE)) as Vma, HUGE + PMD_SIZE);
    expect(getUserPagesFastOnly(mm, address(500), 100, { write: true }, into)).toBe(13);
    expect(into[12]).toBe(mm.pageTable.value(entryAt(mm, HUGE + PMD_SIZE)));
  });

  test.each<[string, (pmd: number) => void]>([
    ["is removed", (pmd) => mm.pageTable.clear(pmd)],
    ["is write-protected", (pmd) => mm.pageTable.setFlags(pmd, mm.pageTable.flags(pmd) & ~Pte.write)],
    ["maps another page", (pmd) => mm.pageTable.set(pmd, head + 512, mm.pageTable.flags(pmd))],
  ])("is dropped if its entry %s before the second look", (_change, change) => {
    const walk = walkLockless(mm, address(3), 4, Foll.GET | Foll.WRITE, into);
    walk.next();
    walk.next();
    expect(vm.memmap.refcount(head)).toBe(5);
    change(mm.pageTable.findPmd(virtAddr(HUGE)));
    expect(run(walk)).toBe(0);
    expect(vm.memmap.refcount(head)).toBe(1);
  });
});
