import { run } from "@hetmem/kernel";
import { exitProcess, forkProcess, munmap } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { expect, test } from "vitest";
import { createMigratePfns, migrateDeviceRange, MigrateSkip, migrateSkipReason } from "../src/index.ts";
import { BASE, entryAt, read, write } from "@hetmem/test-machines/migrate-machine";
import { createMemory } from "./situations.ts";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

test("a driver empties its memory without knowing where its pages are mapped", () => {
  const { machine, device, process } = createMemory(4);
  for (let i = 0; i < 4; i++) write(process, i, i + 1);
  run(device.migrateTo(mmOf(process), BASE, 4));
  const child = run(forkProcess(process));
  expect(run(device.evict())).toBe(4);
  machine.check();
  for (const each of [process, child]) {
    expect(entryAt(each, 0).flags & (Pte.present | Pte.write)).toBe(Pte.present);
    expect([0, 1, 2, 3].map((i) => read(each, i))).toEqual([1, 2, 3, 4]);
  }
  expect(device.faults).toBe(0);
  expect([...device.freed.values()]).toEqual([1, 1, 1, 1]);
  run(machine.pagemaps.memunmapPages(device.pagemap));
  machine.check();
});

test("idle pages, and those that somebody has locked, are left out of an eviction", () => {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  write(process, 1, 2);
  run(device.migrateTo(mmOf(process), BASE, 2));
  const locked = entryAt(process, 0).value as never;
  machine.memmap.set(locked, PageFlag.locked);
  const src = createMigratePfns(3);
  const moving = run(migrateDeviceRange(machine.vm, src, device.pagemap.firstPfn(0), 3));
  expect(moving).toBe(1);
  expect([0, 1, 2].map((i) => migrateSkipReason(src, i))).toEqual([
    MigrateSkip.locked,
    MigrateSkip.none,
    MigrateSkip.idle,
  ]);
});

test("an eviction that finds no RAM leaves each page on the device", () => {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  write(process, 1, 2);
  run(device.migrateTo(mmOf(process), BASE, 2));
  const { allocRam } = device;
  device.allocRam = () => undefined;
  expect(run(device.evict())).toBe(0);
  machine.check();
  device.allocRam = allocRam;
  expect([read(process, 0), read(process, 1)]).toEqual([1, 2]);
  machine.check();
});

test("the anon_vma of a page outlives its last mapping while an eviction needs it", () => {
  const { machine, device, process } = createMemory(1);
  write(process, 0, 1);
  run(device.migrateTo(mmOf(process), BASE, 1));
  const held: number[] = [];
  device.pause = function* () {
    if (held.length === 0) run(munmap(mmOf(process), BASE, PAGE));
    held.push(machine.vm.anonVmas.count);
  };
  run(device.evict());
  machine.check();
  expect(held).toEqual([1, 1]);
  expect(machine.vm.anonVmas.count).toBe(0);
  run(exitProcess(process));
  expect([...device.freed.values()]).toEqual([1]);
});
