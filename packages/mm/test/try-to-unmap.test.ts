import { assertInvariants, KernelBug, MiB, type Page, run } from "@hetmem/kernel";
import { migratePage } from "@hetmem/migrate";
import { describeFinding, watchCoverage } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { EntryKind, entryKind, isMigration, Pte, swapDevice } from "@hetmem/page-table";
import { addToSwap, swapSpace } from "@hetmem/reclaim";
import { deviceMachine } from "@hetmem/test-machines/device-machine";
import { fileAt, mapAt, RW, touchFile } from "@hetmem/test-machines/hand-mapped";
import { entryOf, pageOf, read, setEntryFlags, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { describe, expect, test } from "vitest";
import { vmInvariants } from "../src/invariants.ts";
import { Rss } from "../src/mm-struct.ts";
import { trylockPage, unlockPage } from "../src/page-lock.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { removeMigrationPtes } from "../src/rmap/remove-migration-ptes.ts";
import { tryToMigrate } from "../src/rmap/try-to-migrate.ts";
import { tryToUnmap, tryToUnmapPoisoned } from "../src/rmap/try-to-unmap.ts";
import type { Vm } from "../src/vm.ts";
import { VmFlag } from "../src/vma/vm-flags.ts";

/** A process with one written page, locked and isolated as reclaim has it. */
function withPage(flags: number = RW): { vm: Vm; process: Process; page: Page } {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 1, flags);
  write(process, 0, "text");
  const page = pageOf(process, 0);
  trylockPage(vm.memmap, page);
  vm.lru.isolate(page);
  return { vm, process, page };
}

/** The same with a slot on a swap device. */
function swappable(flags: number = RW): { vm: Vm; process: Process; page: Page } {
  const machine = withPage(flags);
  swapSpace(machine.vm).swapon({ path: "/dev/swap", size: MiB });
  expect(addToSwap(machine.vm, machine.page)).toBe(true);
  return machine;
}

describe("an anonymous page with a swap slot", () => {
  test("is named by its slot in every entry, of parent and child", () => {
    const { vm, process, page } = swappable();
    const child = run(forkProcess(process));
    expect(run(tryToUnmap(vm, page))).toBe(true);
    expect(entryOf(process, 0)).toEqual(entryOf(child, 0));
    const [slot, flags] = entryOf(process, 0);
    expect(entryKind(flags)).toBe(EntryKind.swap);
    expect(swapSpace(vm).devices[swapDevice(flags)]?.count(slot)).toBe(2);
    expect([mmOf(process).rss[Rss.anon], mmOf(process).rss[Rss.swapEntries]]).toEqual([0, 1]);
    assertInvariants(vm, vmInvariants);
  });

  test("comes back with what was in it, and as its process's own", () => {
    const { vm, process, page } = swappable();
    run(tryToUnmap(vm, page));
    expect(entryOf(process, 0)[1] & Pte.exclusive).toBe(Pte.exclusive);
    expect(vm.memmap.test(page, PageFlag.anonExclusive)).toBe(false);
    unlockPage(vm.memmap, page);
    vm.lru.putback(page);
    expect(read(process, 0, 4)).toBe("text");
    assertInvariants(vm, vmInvariants);
  });

  test("keeps what clear_refs wants to know", () => {
    const { vm, process, page } = swappable();
    setEntryFlags(process, 0, entryOf(process, 0)[1] & ~Pte.softDirty);
    run(tryToUnmap(vm, page));
    expect(entryOf(process, 0)[1] & Pte.softDirty).toBe(0);
  });

  test("stays mapped while a device may be writing to it by its address", () => {
    const { vm, process, page } = swappable();
    const entry = entryOf(process, 0);
    vm.memmap.setRefcount(page, vm.memmap.refcount(page) + 1024);
    expect(run(tryToUnmap(vm, page))).toBe(false);
    expect(entryOf(process, 0)).toEqual(entry);
    expect(vm.memmap.test(page, PageFlag.anonExclusive)).toBe(true);
  });

  test("stays mapped where it is locked in memory", () => {
    const { vm, process, page } = swappable(RW | VmFlag.LOCKED);
    expect(run(tryToUnmap(vm, page))).toBe(false);
    expect(pageOf(process, 0)).toBe(page);
  });

  test("is unmapped with everybody being told who mirrors the process", () => {
    const { vm, page } = swappable();
    const coverage = watchCoverage(vm);
    run(tryToUnmap(vm, page));
    expect(coverage.findings.map(describeFinding)).toEqual([]);
  });
});

describe("a page that madvise(MADV_FREE) has given up", () => {
  function lazyFree(): { vm: Vm; process: Process; page: Page } {
    const machine = withPage();
    machine.vm.memmap.clear(machine.page, PageFlag.swapbacked);
    setEntryFlags(machine.process, 0, entryOf(machine.process, 0)[1] & ~Pte.dirty);
    return machine;
  }

  test("is dropped, and its process reads zeros", () => {
    const { vm, process, page } = lazyFree();
    expect(run(tryToUnmap(vm, page))).toBe(true);
    expect(entryOf(process, 0)).toEqual([0, 0]);
    expect(vm.memmap.refcount(page)).toBe(1);
    expect(read(process, 0, 4)).toBe("\0\0\0\0");
  });

  test("is wanted again once it was written", () => {
    const { vm, process, page } = lazyFree();
    write(process, 0, "new!");
    expect(run(tryToUnmap(vm, page))).toBe(false);
    expect(vm.memmap.test(page, PageFlag.swapbacked)).toBe(true);
    expect(read(process, 0, 4)).toBe("new!");
  });

  test("is wanted by whoever holds a reference", () => {
    const { vm, process, page } = lazyFree();
    vm.memmap.getPage(page);
    expect(run(tryToUnmap(vm, page))).toBe(false);
    expect(pageOf(process, 0)).toBe(page);
  });
});

test("an anonymous page that has no swap slot must not be unmapped", () => {
  const { vm, page } = withPage();
  expect(() => run(tryToUnmap(vm, page))).toThrow(KernelBug);
});

test("a file's page leaves no trace in its entry, and learns that it was written through it", () => {
  const { vm, spawn } = vmMachine();
  const file = fileAt(vm, "/data", 7);
  const mm = mmOf(spawn());
  const vma = mapAt(mm, 0x10_0000, 0x10_1000, { file, flags: RW | VmFlag.SHARED });
  file.mapping?.iMmap.insert(vma);
  const page = touchFile(vma, 0x10_0000, { entry: Pte.write | Pte.dirty });
  trylockPage(vm.memmap, page);
  expect(run(tryToUnmap(vm, page))).toBe(true);
  expect(mm.pageTable.flags(mm.pageTable.find(vma.start))).toBe(0);
  expect(vm.memmap.test(page, PageFlag.dirty)).toBe(true);
  expect([mm.rss[Rss.file], vm.memmap.refcount(page)]).toEqual([0, 1]);
});

test("where a page's memory is bad, the next touch is SIGBUS, locked in memory or not", () => {
  const { vm, process, page } = withPage(RW | VmFlag.LOCKED);
  vm.memmap.set(page, PageFlag.hwpoison);
  expect(run(tryToUnmapPoisoned(vm, page))).toBe(true);
  expect(entryKind(entryOf(process, 0)[1])).toBe(EntryKind.hwpoison);
  expect(mmOf(process).rssPages).toBe(0);
  run(exitProcess(process));
});

describe("migration entries", () => {
  test("say what the page allowed: writing, reading alone, or reading with others", () => {
    const { vm, process, page } = withPage();
    const kinds: number[] = [];
    const anonVma = vm.anonVmas.of(vm.memmap, page);
    if (!anonVma) throw new Error("no anon_vma");
    vm.anonVmas.get(anonVma);
    const roundTrip = (): void => {
      expect(run(tryToMigrate(vm, page))).toBe(true);
      kinds.push(entryKind(entryOf(process, 0)[1]));
      run(removeMigrationPtes(vm, page, page));
    };
    roundTrip();
    setEntryFlags(process, 0, entryOf(process, 0)[1] & ~Pte.write);
    roundTrip();
    expect(vm.memmap.test(page, PageFlag.anonExclusive)).toBe(true);
    run(forkProcess(process));
    roundTrip();
    expect(kinds).toEqual([
      EntryKind.migrationWrite,
      EntryKind.migrationReadExclusive,
      EntryKind.migrationRead,
    ]);
    vm.anonVmas.put(anonVma);
    assertInvariants(vm, vmInvariants);
  });

  test("of a pinned page of a family are made and undone as far as they got", () => {
    const { vm, process, page } = withPage();
    const entry = entryOf(process, 0);
    vm.memmap.setRefcount(page, vm.memmap.refcount(page) + 1024);
    expect(run(tryToMigrate(vm, page))).toBe(false);
    expect(isMigration(entryOf(process, 0)[1])).toBe(false);
    expect(entryOf(process, 0)).toEqual(entry);
  });

  test("hold no reference, and go with their process", () => {
    const { vm, process, page } = withPage();
    const anonVma = vm.anonVmas.of(vm.memmap, page);
    if (!anonVma) throw new Error("no anon_vma");
    vm.anonVmas.get(anonVma);
    run(tryToMigrate(vm, page));
    expect([vm.memmap.mapcount(page), vm.memmap.refcount(page)]).toEqual([0, 1]);
    run(exitProcess(process));
    run(removeMigrationPtes(vm, page, page));
    expect([vm.memmap.mapcount(page), vm.memmap.refcount(page)]).toEqual([0, 1]);
    vm.anonVmas.put(anonVma);
    expect(vm.anonVmas.count).toBe(0);
  });

  test("become a device's entries when only a device can reach where the page has gone, and present again when it is back", () => {
    const machine = deviceMachine();
    const { vm } = machine;
    const process = machine.spawn();
    withMemory(process, 1);
    write(process, 0, "to device");
    const home = pageOf(process, 0);
    const away = machine.devicePage(3);
    trylockPage(vm.memmap, home);
    vm.lru.isolate(home);
    const anonVma = vm.anonVmas.of(vm.memmap, home);
    if (!anonVma) throw new Error("no anon_vma");
    vm.anonVmas.get(anonVma);
    const move = (from: Page, to: Page): void => {
      expect(run(tryToMigrate(vm, from))).toBe(true);
      expect(migratePage(vm, from, to, 0)).toBe(true);
      run(removeMigrationPtes(vm, from, to));
    };
    move(home, away);
    expect([pageOf(process, 0), entryKind(entryOf(process, 0)[1])]).toEqual([
      away,
      EntryKind.devicePrivateWrite,
    ]);
    expect([vm.memmap.mapcount(away), vm.memmap.test(away, PageFlag.anonExclusive)]).toEqual([1, true]);
    move(away, home);
    expect(entryOf(process, 0)[1] & (Pte.present | Pte.write)).toBe(Pte.present | Pte.write);
    unlockPage(vm.memmap, home);
    expect(read(process, 0, 9)).toBe("to device");
    vm.anonVmas.put(anonVma);
  });
});
