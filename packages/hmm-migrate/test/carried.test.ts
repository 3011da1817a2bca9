import { type Page, run } from "@hetmem/kernel";
import { exitProcess, forkProcess, mprotect, Prot } from "@hetmem/mm";
import { MmuNotifier, mmuNotifierRegister, MmuNotifyEvent } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { EntryKind, entryKind, Pte } from "@hetmem/page-table";
import { ClearRefs, clearRefs } from "@hetmem/proc-pid";
import { expect, test } from "vitest";
import { BASE, entryAt, pageAt, read, write } from "@hetmem/test-machines/migrate-machine";
import { createMemory } from "./situations.ts";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

test("soft-dirty goes along to the device and back, and so does its absence", () => {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  write(process, 1, 2);
  run(clearRefs(mmOf(process), ClearRefs.softDirty));
  write(process, 1, 3);
  const soft = (n: number): boolean => (entryAt(process, n).flags & Pte.softDirty) !== 0;
  expect([soft(0), soft(1)]).toEqual([false, true]);
  run(device.migrateTo(mmOf(process), BASE, 2));
  expect([soft(0), soft(1)]).toEqual([false, true]);
  run(device.migrateBack(mmOf(process), BASE, 2));
  expect([soft(0), soft(1)]).toEqual([false, true]);
  machine.check();
});

test("that a page was written is known of the device's page, and of the one that takes its place", () => {
  const { machine, device, process } = createMemory(1);
  write(process, 0, 1);
  const dirty = (): boolean => machine.memmap.test(entryAt(process, 0).value as never, PageFlag.dirty);
  expect(dirty()).toBe(false);
  run(device.migrateTo(mmOf(process), BASE, 1));
  expect(dirty()).toBe(true);
  run(device.migrateBack(mmOf(process), BASE, 1));
  expect(dirty()).toBe(true);
});

test("a device's page that fills a hole is as dirty as its last user left it", () => {
  const { machine, device, process } = createMemory(2, { devicePages: 1 });
  write(process, 0, 1);
  run(device.migrateTo(mmOf(process), BASE, 1));
  run(device.migrateBack(mmOf(process), BASE, 1));
  expect(run(device.migrateTo(mmOf(process), (BASE + PAGE) as typeof BASE, 1))).toBe(1);
  expect(machine.memmap.test(entryAt(process, 1).value as never, PageFlag.dirty)).toBe(true);
  machine.check();
});

test("the cpu's note that it used a page is kept when the page stays in RAM", () => {
  const { machine, device, process } = createMemory(1, { devicePages: 0 });
  write(process, 0, 1);
  const before = entryAt(process, 0);
  expect(run(device.migrateTo(mmOf(process), BASE, 1))).toBe(0);
  expect(entryAt(process, 0)).toEqual(before);
  machine.check();
});

test("a page that was one process's alone is so on the device and after, and one that was shared isn't", () => {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  write(process, 1, 2);
  const child = run(forkProcess(process));
  write(process, 0, 5);
  const alone = (n: number): boolean =>
    machine.memmap.test(entryAt(process, n).value as never, PageFlag.anonExclusive);
  expect([alone(0), alone(1)]).toEqual([true, false]);
  run(device.migrateTo(mmOf(process), BASE, 2));
  expect([alone(0), alone(1)]).toEqual([true, false]);
  expect(entryKind(entryAt(process, 1).flags)).toBe(EntryKind.devicePrivateRead);
  expect(entryAt(child, 1).value).toBe(entryAt(process, 1).value);
  machine.check();
  expect([read(process, 0), read(child, 0), read(process, 1), read(child, 1)]).toEqual([5, 1, 2, 2]);
  expect([alone(0), alone(1)]).toEqual([true, false]);
  run(exitProcess(child));
  machine.check();
});

test("a page that its mapping doesn't allow to be reached comes back out of reach", () => {
  const { machine, device, process } = createMemory(1);
  write(process, 0, 4);
  run(device.migrateTo(mmOf(process), BASE, 1));
  run(mprotect(mmOf(process), BASE, PAGE, Prot.NONE));
  expect(run(device.migrateBack(mmOf(process), BASE, 1))).toBe(1);
  expect(entryAt(process, 0).flags & Pte.protnone).not.toBe(0);
  run(mprotect(mmOf(process), BASE, PAGE, Prot.READ));
  expect(read(process, 0)).toBe(4);
  machine.check();
});

test("the next user of a device's page finds nothing of the last one's", () => {
  const { machine, device, process } = createMemory(2, { devicePages: 1 });
  write(process, 0, 9);
  run(device.migrateTo(mmOf(process), BASE, 1));
  const page = entryAt(process, 0).value as never;
  machine.memmap.set(page, PageFlag.referenced);
  expect(read(process, 0)).toBe(9);
  expect(run(device.migrateTo(mmOf(process), pageAt(1), 1))).toBe(1);
  expect(entryAt(process, 1).value).toBe(page);
  expect(machine.memmap.test(page, PageFlag.referenced)).toBe(false);
  expect(read(process, 1)).toBe(0);
});

test("a page that moves to a frame of the device has what it was, and what the frame's last user left: nobody strips it", () => {
  const { machine, device, process } = createMemory(2, { devicePages: 1 });
  const flagsOf = (n: number): number =>
    machine.memmap.flags(entryAt(process, n).value as Page) & (PageFlag.referenced | PageFlag.workingset);
  const left = (n: number): Page => entryAt(process, n).value as Page;
  write(process, 0, 1);
  write(process, 1, 2);
  machine.memmap.set(left(0), PageFlag.workingset);
  run(device.migrateTo(mmOf(process), BASE, 1));
  run(device.migrateBack(mmOf(process), BASE, 1));
  expect(flagsOf(1) & PageFlag.workingset).toBe(0);
  expect(run(device.migrateTo(mmOf(process), pageAt(1), 1))).toBe(1);
  expect(flagsOf(1) & PageFlag.workingset).toBe(PageFlag.workingset);
  machine.check();
});

test("who mirrors the process hears whose migration it is: of pages that are taken, and of holes that are filled", () => {
  const { device, process } = createMemory(3);
  write(process, 0, 1);
  const mm = mmOf(process);
  const heard: unknown[] = [];
  const notifier = new MmuNotifier(
    {
      *invalidateRangeStart(_, { event, owner }) {
        heard.push([event, owner === device]);
        return true;
      },
    },
    undefined,
  );
  run(mmuNotifierRegister(notifier, mm));
  run(device.migrateTo(mm, BASE, 3));
  expect(heard).toEqual([
    [MmuNotifyEvent.Migrate, true],
    [MmuNotifyEvent.Migrate, true],
  ]);
  heard.length = 0;
  run(device.migrateBack(mm, BASE, 1));
  expect(heard[0]).toEqual([MmuNotifyEvent.Migrate, true]);
});
