import { type Page, run, virtAddr } from "@hetmem/kernel";
import { MmuNotifier, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { pageReferenced } from "@hetmem/reclaim";
import { fileAt, mapAt, RW, touch, touchFile } from "@hetmem/test-machines/hand-mapped";
import { BASE, entryOf, pageOf, setEntryFlags, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { describe, expect, test } from "vitest";
import { forkProcess } from "../src/process/fork.ts";
import { rmapWalk } from "../src/rmap/rmap-walk.ts";
import type { Vm } from "../src/vm.ts";
import { linkVma } from "../src/vma/link.ts";
import { VmFlag } from "../src/vma/vm-flags.ts";
import { Vma } from "../src/vma/vma.ts";

/** The places that a walk visits, as `mm:address`. */
function places(vm: Vm, page: Page): string[] {
  const found: string[] = [];
  run(
    rmapWalk(vm, page, function* (vma, address) {
      found.push(`${vma.mm.id}:${address.toString(16)}`);
      return true;
    }),
  );
  return found;
}

describe("a reverse mapping walk", () => {
  test("looks for a parent's page in all of its children, the parent first", () => {
    const { vm, spawn } = vmMachine();
    const parent = spawn();
    withMemory(parent, 4);
    write(parent, 2, "x");
    const child = run(forkProcess(parent));
    const grandchild = run(forkProcess(child));
    const address = (BASE + 2 * 4096).toString(16);
    const family = [parent, child, grandchild].map((process) => `${mmOf(process).id}:${address}`);
    expect(places(vm, pageOf(parent, 2))).toEqual(family);
  });

  test("looks for a child's own page in the child alone", () => {
    const { vm, spawn } = vmMachine();
    const parent = spawn();
    withMemory(parent, 1);
    write(parent, 0, "x");
    const child = run(forkProcess(parent));
    write(child, 0, "y");
    expect(places(vm, pageOf(child, 0))).toEqual([`${mmOf(child).id}:${BASE.toString(16)}`]);
  });

  test("finds pages on both sides of a boundary of 2^32 pages, which their index can't tell apart", () => {
    const { vm, spawn } = vmMachine();
    const mm = mmOf(spawn());
    const boundary = 2 ** 44;
    const vma = new Vma(mm, virtAddr(boundary - 4096), virtAddr(boundary + 4096), RW, boundary / 4096 - 1);
    linkVma(vma);
    for (const address of [boundary - 4096, boundary]) {
      const page = mm.pageTable.value(touch(vma, address)) as Page;
      expect(places(vm, page)).toEqual([`${mm.id}:${address.toString(16)}`]);
    }
  });

  test("finds a file's page wherever that part of the file is mapped", () => {
    const { vm, spawn } = vmMachine();
    const file = fileAt(vm, "/data", 7);
    const [one, two, elsewhere] = [spawn(), spawn(), spawn()].map(mmOf);
    if (!one || !two || !elsewhere) throw new Error("no process");
    const first = mapAt(one, 0x10_0000, 0x10_8000, { file });
    for (const vma of [
      first,
      mapAt(two, 0x40_0000, 0x40_2000, { file, pgoff: 3 }),
      mapAt(elsewhere, 0x10_0000, 0x10_3000, { file }),
    ])
      file.mapping?.iMmap.insert(vma);
    expect(places(vm, touchFile(first, 0x10_4000)).toSorted()).toEqual([
      `${one.id}:104000`,
      `${two.id}:401000`,
    ]);
  });

  test("ends where it is told to", () => {
    const { vm, spawn } = vmMachine();
    const parent = spawn();
    withMemory(parent, 1);
    write(parent, 0, "x");
    run(forkProcess(parent));
    let visited = 0;
    run(
      rmapWalk(vm, pageOf(parent, 0), function* () {
        visited++;
        return false;
      }),
    );
    expect(visited).toBe(1);
    expect(vm.anonVmas.of(vm.memmap, pageOf(parent, 0))?.rwsem.readers).toBe(0);
  });
});

describe("page_referenced", () => {
  test("counts the mappings that have used a page, and makes it forgotten", () => {
    const { vm, spawn } = vmMachine();
    const parent = spawn();
    withMemory(parent, 1);
    write(parent, 0, "x");
    const page = pageOf(parent, 0);
    run(forkProcess(parent));
    setEntryFlags(parent, 0, entryOf(parent, 0)[1] | Pte.accessed);
    expect(run(pageReferenced(vm, page)).referenced).toBe(1);
    expect(run(pageReferenced(vm, page))).toEqual({ referenced: 0, vmFlags: 0 });
    expect(entryOf(parent, 0)[1] & Pte.accessed).toBe(0);
  });

  test("tells what kind of mapping it was, and doesn't count one that is read from front to back", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    const vma = withMemory(process, 1, RW | VmFlag.EXEC);
    write(process, 0, "x");
    expect(run(pageReferenced(vm, pageOf(process, 0))).vmFlags & VmFlag.EXEC).toBe(VmFlag.EXEC);
    vma.flags |= VmFlag.SEQ_READ;
    write(process, 0, "x");
    expect(run(pageReferenced(vm, pageOf(process, 0))).referenced).toBe(0);
  });

  test("says LOCKED of a page that is held in memory, and looks no further", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1, RW | VmFlag.LOCKED);
    write(process, 0, "x");
    expect(run(pageReferenced(vm, pageOf(process, 0)))).toEqual({ referenced: 0, vmFlags: VmFlag.LOCKED });
  });

  test("asks devices too, whose tables have accessed bits of their own", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    run(pageReferenced(vm, pageOf(process, 0)));
    const notifier = new MmuNotifier({ clearFlushYoung: () => true }, undefined);
    run(mmuNotifierRegister(notifier, mmOf(process)));
    expect(run(pageReferenced(vm, pageOf(process, 0))).referenced).toBe(1);
  });

  test("takes the note that an idle page tracker has left for a use", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    const page = pageOf(process, 0);
    run(pageReferenced(vm, page));
    vm.memmap.set(page, PageFlag.young);
    expect(run(pageReferenced(vm, page)).referenced).toBe(1);
    expect(vm.memmap.test(page, PageFlag.young)).toBe(false);
  });

  test("gives up with -1 where somebody changes the mappings, rather than wait", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    const rwsem = vm.anonVmas.of(vm.memmap, pageOf(process, 0))?.rwsem;
    if (!rwsem) throw new Error("no anon_vma");
    const other = { name: "munmap", held: [] };
    const me = vm.kernel.lockdep.current;
    vm.kernel.lockdep.current = other;
    run(rwsem.downWrite());
    vm.kernel.lockdep.current = me;
    expect(run(pageReferenced(vm, pageOf(process, 0))).referenced).toBe(-1);
  });
});
