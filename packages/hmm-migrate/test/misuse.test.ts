// What a driver must not do with a migration: the kernel asserts it, or hangs for it later.
import { KernelBug, run } from "@hetmem/kernel";
import { makeDeviceExclusiveRange } from "@hetmem/hmm-mirror";
import {
  MmuIntervalNotifier,
  mmuIntervalNotifierInsert,
  mmuIntervalNotifierInsertLocked,
  mmuNotifierGetLocked,
} from "@hetmem/mmu-notifier";
import { expect, test } from "vitest";
import {
  createMigrateVma,
  type MigrateVma,
  migrateVmaFinalize,
  migrateVmaPages,
  MigrateVmaSelect,
  migrateVmaSetup,
} from "../src/index.ts";
import { BASE, pageAt, read, write } from "@hetmem/test-machines/migrate-machine";
import { createMemory } from "./situations.ts";
import { mmOf, withMmapLock } from "@hetmem/test-machines/vm-machine";

function twoPages() {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  const mm = mmOf(process);
  const vma = mm.vmas.at(BASE);
  if (!vma) throw new Error("no mapping");
  const request = { vma, start: BASE, end: pageAt(2), pgmapOwner: device, flags: MigrateVmaSelect.system };
  return { machine, process, mm, args: createMigrateVma(request) };
}

test("a setup without the mmap lock is a bug, and takes nothing", () => {
  const { machine, process, args } = twoPages();
  expect(() => run(migrateVmaSetup(args))).toThrow(KernelBug);
  expect(read(process, 0)).toBe(1);
  machine.check();
});

test("a setup of pages that the last one took and nobody has finalized is a bug", () => {
  const { machine, process, mm, args } = twoPages();
  run(withMmapLock(mm, migrateVmaSetup(args)));
  expect(() => run(withMmapLock(mm, migrateVmaSetup(args)))).toThrow(KernelBug);
  run(migrateVmaFinalize(args));
  run(withMmapLock(mm, migrateVmaSetup(args)));
  run(migrateVmaFinalize(args));
  expect(read(process, 0)).toBe(1);
  machine.check();
});

test("pages are moved once, after a setup; and finalized once", () => {
  const steps: Record<string, (args: MigrateVma) => void> = {
    "moved before a setup": (args) => run(migrateVmaPages(args)),
    "finalized before a setup": (args) => run(migrateVmaFinalize(args)),
    "moved twice": (args) => {
      run(withMmapLock(args.vma.mm, migrateVmaSetup(args)));
      run(migrateVmaPages(args));
      run(migrateVmaPages(args));
    },
    "finalized twice": (args) => {
      run(withMmapLock(args.vma.mm, migrateVmaSetup(args)));
      run(migrateVmaFinalize(args));
      run(migrateVmaFinalize(args));
    },
  };
  for (const [step, misuse] of Object.entries(steps)) {
    const { args } = twoPages();
    expect(() => misuse(args), step).toThrow(KernelBug);
  }
});

test("who wants pages for a device alone, or comes to listen as one that holds the mmap lock, holds it", () => {
  const { mm } = twoPages();
  const listener = () =>
    new MmuIntervalNotifier(
      {
        *invalidate() {
          return true;
        },
      },
      undefined,
    );
  // The tree is there already: nothing else would ask for the lock.
  run(mmuIntervalNotifierInsert(listener(), mm, BASE, 4096));
  expect(() => run(makeDeviceExclusiveRange(mm, BASE, pageAt(1), undefined))).toThrow(KernelBug);
  expect(() => run(mmuIntervalNotifierInsertLocked(listener(), mm, BASE, 4096))).toThrow(KernelBug);
  expect(() => run(mmuNotifierGetLocked({ allocNotifier: () => undefined }, mm))).toThrow(/mmap lock/);
});
