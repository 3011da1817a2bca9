import { getUserPages, pinUserPages, putUserPages, unpinUserPages } from "@hetmem/gup";
import { KernelBug, run } from "@hetmem/kernel";
import { MapFlag, mlock, mmap, mprotect, Prot, touchUser, VmFlag } from "@hetmem/mm";
import { remapPfnRange } from "@hetmem/mm/vma";
import { PageFlag } from "@hetmem/page";
import { EntryKind, entryKind, isDevicePrivate, Pte } from "@hetmem/page-table";
import { expect, test } from "vitest";
import {
  createMigrateVma,
  migrates,
  MigrateSkip,
  migrateSkipReason,
  migrateVmaFinalize,
  migrateVmaPages,
  MigrateVmaSelect,
  migrateVmaSetup,
  type MigrateVmaSkip,
  setMigrateDst,
} from "../src/index.ts";
import { BASE, entryAt, pageAt, read, TestDevice, write } from "@hetmem/test-machines/migrate-machine";
import { createMemory, swapOut } from "./situations.ts";
import { PAGE, mmOf, withMmapLock } from "@hetmem/test-machines/vm-machine";

test("holes and pages that were only read become fresh pages of the device, without a copy", () => {
  const { machine, device, process } = createMemory(4);
  write(process, 0, 7);
  expect(read(process, 1)).toBe(0);
  expect(entryAt(process, 1).flags & Pte.special).not.toBe(0);
  expect(run(device.migrateTo(mmOf(process), BASE, 4))).toBe(4);
  machine.check();
  for (let i = 0; i < 4; i++) expect(entryKind(entryAt(process, i).flags)).toBe(EntryKind.devicePrivateWrite);
  expect([0, 1, 2, 3].map((i) => read(process, i))).toEqual([7, 0, 0, 0]);
  machine.check();
});

test("a hole of a mapping that may not be written becomes a page that may only be read", () => {
  const { device, process } = createMemory(1);
  run(mprotect(mmOf(process), BASE, PAGE, Prot.READ));
  expect(run(device.migrateTo(mmOf(process), BASE, 1))).toBe(1);
  expect(entryKind(entryAt(process, 0).flags)).toBe(EntryKind.devicePrivateRead);
});

test("a hole that a page table is missing for gets one", () => {
  const { machine, device, process } = createMemory(2048);
  expect(run(device.migrateTo(mmOf(process), pageAt(1024), 1))).toBe(1);
  expect(isDevicePrivate(entryAt(process, 1024).flags)).toBe(true);
  machine.check();
});

test("a page with a pin, or a reference that nobody explains, stays, and its entry says why", () => {
  const { machine, device, process } = createMemory(4);
  for (let i = 0; i < 4; i++) write(process, i, i + 1);
  const pinned = run(withMmapLock(mmOf(process), pinUserPages(mmOf(process), pageAt(1), 1, { write: true })));
  const referenced = run(
    withMmapLock(mmOf(process), getUserPages(mmOf(process), pageAt(2), 1, { write: true })),
  );
  expect(reasons(device, process, 4)).toEqual(["none", "pinned", "referenced", "none"]);
  machine.check();
  expect(entryAt(process, 1).flags & Pte.write).not.toBe(0);
  unpinUserPages(machine.vm, pinned);
  putUserPages(machine.vm, Int32Array.from(referenced));
  expect([0, 1, 2, 3].map((i) => read(process, i))).toEqual([1, 2, 3, 4]);
  machine.check();
});

test("a page that somebody has locked, or taken off its list, stays", () => {
  const { machine, device, process } = createMemory(3);
  for (let i = 0; i < 3; i++) write(process, i, i + 1);
  const [locked, isolated] = [0, 1].map((i) => entryAt(process, i).value as never);
  machine.memmap.set(locked as never, PageFlag.locked);
  machine.vm.lru.isolate(isolated as never);
  expect(reasons(device, process, 3)).toEqual(["locked", "notOnLru", "none"]);
  machine.memmap.clear(locked as never, PageFlag.locked);
  machine.vm.lru.putback(isolated as never);
  expect(entryAt(process, 1).flags & (Pte.present | Pte.write)).toBe(Pte.present | Pte.write);
  machine.check();
});

test("what is in swap stays there", () => {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  write(process, 1, 2);
  swapOut(machine, process, 0);
  expect(reasons(device, process, 2)).toEqual(["notPresent", "none"]);
  expect(read(process, 0)).toBe(1);
});

test("RAM stays where only device memory is to move, and pages of another owner's device stay", () => {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  write(process, 1, 2);
  run(device.migrateTo(mmOf(process), pageAt(1), 1));
  const vma = mmOf(process).vmas.at(BASE);
  if (!vma) throw new Error("no mapping");
  const end = pageAt(2);
  const flags = MigrateVmaSelect.devicePrivate;
  const other = createMigrateVma({ vma, start: BASE, end, pgmapOwner: {}, flags });
  run(withMmapLock(mmOf(process), migrateVmaSetup(other)));
  expect([0, 1].map((i) => migrateSkipReason(other.src, i))).toEqual([
    MigrateSkip.systemNotSelected,
    MigrateSkip.otherOwner,
  ]);
  expect(other.cpages).toBe(0);
  const ram = createMigrateVma({ vma, start: BASE, end, pgmapOwner: device, flags: MigrateVmaSelect.system });
  run(withMmapLock(mmOf(process), migrateVmaSetup(ram)));
  expect(migrateSkipReason(ram.src, 1)).toBe(MigrateSkip.deviceNotSelected);
  run(migrateVmaFinalize(ram));
  machine.check();
});

test("a huge page is divided, and its parts move", () => {
  const { machine, device, process } = createMemory(512, { huge: true, devicePages: 512 });
  write(process, 3, 9);
  expect(mmOf(process).pageTable.find(BASE)).toBe(-1);
  expect(run(device.migrateTo(mmOf(process), BASE, 512))).toBe(512);
  machine.check();
  expect(read(process, 3)).toBe(9);
  machine.check();
});

test("a range that no driver may touch is refused as the kernel refuses it", () => {
  const { machine, device, process } = createMemory(4);
  const mm = mmOf(process);
  const vma = mm.vmas.at(BASE);
  if (!vma) throw new Error("no mapping");
  const setup = (start: number, end: number) => () =>
    run(
      withMmapLock(
        mm,
        migrateVmaSetup(
          createMigrateVma({
            vma,
            start: start as never,
            end: end as never,
            pgmapOwner: device,
            flags: MigrateVmaSelect.system,
          }),
        ),
      ),
    );
  expect(setup(BASE, BASE)).toThrow(/EINVAL/);
  expect(setup(BASE - PAGE, BASE)).toThrow(/EINVAL/);
  expect(setup(BASE, BASE + 5 * PAGE)).toThrow(/EINVAL/);
  vma.flags |= VmFlag.MIXEDMAP;
  expect(setup(BASE, BASE + PAGE)).toThrow(/EINVAL/);
  vma.flags &= ~VmFlag.MIXEDMAP;
  machine.check();
});

test("each page that stays is told to who listens, by the name of its reason", () => {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  write(process, 1, 2);
  const told: MigrateVmaSkip[] = [];
  machine.kernel.trace
    .define<MigrateVmaSkip>("migrate", "migrate_vma_skip")
    .subscribe(({ event }) => told.push(event));
  const pins = run(withMmapLock(mmOf(process), pinUserPages(mmOf(process), pageAt(1), 1, { write: true })));
  run(device.migrateTo(mmOf(process), BASE, 2));
  expect(told.map(({ index, why, page }) => [index, why, page])).toEqual([[1, "pinned", pins[0]]]);
  unpinUserPages(machine.vm, pins);
});

test("a driver that can't allocate loses nothing, and some pages may move while others stay", () => {
  const { machine, device, process } = createMemory(8, { devicePages: 3 });
  for (let i = 0; i < 8; i++) write(process, i, i + 1);
  const free = machine.freePages();
  expect(run(device.migrateTo(mmOf(process), BASE, 8))).toBe(3);
  machine.check();
  expect(machine.freePages()).toBe(free + 3);
  expect([0, 1, 2, 3, 4, 5, 6, 7].map((i) => isDevicePrivate(entryAt(process, i).flags))).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
  for (let i = 3; i < 8; i++)
    expect(entryAt(process, i).flags & (Pte.present | Pte.write)).toBe(Pte.present | Pte.write);
  expect([0, 1, 2, 3, 4, 5, 6, 7].map((i) => read(process, i))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  machine.check();
});

test("what the driver offers for a page that stays goes back to the driver", () => {
  const { machine, device, process } = createMemory(1);
  write(process, 0, 5);
  const mm = mmOf(process);
  const vma = mm.vmas.at(BASE);
  if (!vma) throw new Error("no mapping");
  const args = createMigrateVma({
    vma,
    start: BASE,
    end: pageAt(1),
    pgmapOwner: device,
    flags: MigrateVmaSelect.system,
  });
  run(withMmapLock(mmOf(process), migrateVmaSetup(args)));
  const page = device.alloc();
  if (page === undefined) throw new Error("the device is full");
  setMigrateDst(args.dst, 0, page);
  // Somebody gets hold of the old page after setup.
  machine.memmap.getPage(args.src[0] as never);
  run(migrateVmaPages(args));
  expect([migrates(args.src, 0), migrateSkipReason(args.src, 0)]).toEqual([false, MigrateSkip.referenced]);
  const old = args.src[0] as never;
  run(migrateVmaFinalize(args));
  machine.memmap.putPage(old);
  expect(device.freed.get(page)).toBe(1);
  expect(read(process, 0)).toBe(5);
  machine.check();
});

test("a destination that isn't locked is a bug of the driver", () => {
  const { device, process } = createMemory(1);
  write(process, 0, 5);
  const vma = mmOf(process).vmas.at(BASE);
  if (!vma) throw new Error("no mapping");
  const args = createMigrateVma({
    vma,
    start: BASE,
    end: pageAt(1),
    pgmapOwner: device,
    flags: MigrateVmaSelect.system,
  });
  run(withMmapLock(mmOf(process), migrateVmaSetup(args)));
  const page = device.alloc();
  if (page === undefined) throw new Error("the device is full");
  device.machine.memmap.clear(page, PageFlag.locked);
  setMigrateDst(args.dst, 0, page);
  expect(() => run(migrateVmaPages(args))).toThrow(KernelBug);
});

test("pages of files stay, and holes of their mappings too", () => {
  const { machine, device, process, mapShared } = createMemory(1);
  const start = mapShared(2);
  const untouched = mmOf(process).vmas.at(start);
  if (!untouched) throw new Error("no mapping");
  const holes = createMigrateVma({
    vma: untouched,
    start,
    end: untouched.end,
    pgmapOwner: device,
    flags: MigrateVmaSelect.system,
  });
  run(withMmapLock(mmOf(process), migrateVmaSetup(holes)));
  expect(holes.cpages).toBe(0);
  run(touchUser(process, start));
  expect(run(device.migrateTo(mmOf(process), start, 2))).toBe(0);
  const vma = mmOf(process).vmas.at(start);
  if (!vma) throw new Error("no mapping");
  const args = createMigrateVma({
    vma,
    start,
    end: vma.end,
    pgmapOwner: device,
    flags: MigrateVmaSelect.system,
  });
  run(withMmapLock(mmOf(process), migrateVmaSetup(args)));
  device.copyOver(args, () => device.alloc());
  run(migrateVmaPages(args));
  expect([0, 1].map((i) => migrateSkipReason(args.src, i))).toEqual([MigrateSkip.file, MigrateSkip.hole]);
  run(migrateVmaFinalize(args));
  machine.check();
});

test("a locked mapping's pages are locked again when they are back", () => {
  const { machine, device, process } = createMemory(2);
  write(process, 0, 1);
  write(process, 1, 2);
  run(mlock(mmOf(process), BASE, 2 * PAGE));
  expect(run(device.migrateTo(mmOf(process), BASE, 2))).toBe(2);
  machine.check();
  expect(read(process, 0)).toBe(1);
  expect(machine.memmap.test(entryAt(process, 0).value as never, PageFlag.mlocked)).toBe(true);
  machine.check();
});

test("frames that nobody counts aren't moved", () => {
  const { process, device } = createMemory(1);
  const mm = mmOf(process);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
  const start = run(mmap(mm, { length: PAGE, prot: Prot.READ | Prot.WRITE, flags }));
  const vma = mm.vmas.at(start);
  if (!vma) throw new Error("no mapping");
  remapPfnRange(vma, start, 0x1234 as never, PAGE);
  expect(() => run(device.migrateTo(mm, start, 1))).toThrow(/EINVAL/);
});

/** Names of the reasons why pages from BASE on stay; "none" for those that move. */
function reasons(device: TestDevice, process: Parameters<typeof mmOf>[0], pages: number): string[] {
  const vma = mmOf(process).vmas.at(BASE);
  if (!vma) throw new Error("no mapping");
  const args = createMigrateVma({
    vma,
    start: BASE,
    end: pageAt(pages),
    pgmapOwner: device,
    flags: MigrateVmaSelect.system,
  });
  run(withMmapLock(mmOf(process), migrateVmaSetup(args)));
  device.machine.check();
  const names = Array.from({ length: pages }, (_, i) => {
    const reason = migrateSkipReason(args.src, i);
    return Object.entries(MigrateSkip).find(([, code]) => code === reason)?.[0] ?? "?";
  });
  run(migrateVmaFinalize(args));
  return names;
}
