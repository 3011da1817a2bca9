import { getUserPages, pinUserPages, putUserPages, unpinUserPages } from "@hetmem/gup";
import { KernelError, run, type Sleeps } from "@hetmem/kernel";
import { memoryFailureDevPagemap } from "@hetmem/memremap";
import {
  exitProcess,
  forkProcess,
  mprotect,
  munmap,
  type PageCharging,
  type Process,
  Prot,
  readUser,
  Rss,
  uncharged,
  unlockPage,
  VmFault,
} from "@hetmem/mm";
import { mincore } from "@hetmem/madvise";
import { makeDeviceExclusiveRange } from "@hetmem/hmm-mirror";
import { EntryKind, entryKind, isDevicePrivate, Pte } from "@hetmem/page-table";
import { pagemap, PageMapBit } from "@hetmem/proc-pid";
import { expect, test } from "vitest";
import { BASE, dead, entryAt, pageAt, read, write } from "@hetmem/test-machines/migrate-machine";
import { createMemory } from "./situations.ts";
import { PAGE, mmOf, withMmapLock } from "@hetmem/test-machines/vm-machine";

/** A process with `pages` of memory on the device, each with its number plus one in it. */
function onDevice(pages: number) {
  const situation = createMemory(pages);
  const { device, process } = situation;
  for (let i = 0; i < pages; i++) write(process, i, i + 1);
  expect(run(device.migrateTo(mmOf(process), BASE, pages))).toBe(pages);
  return situation;
}

test("entries of all devices are of one kind that takes no slot of any swap device", () => {
  const { machine, process } = onDevice(4);
  expect(entryKind(entryAt(process, 0).flags)).toBe(EntryKind.devicePrivateWrite);
  expect(mmOf(process).rss[Rss.swapEntries]).toBe(0);
  expect(mmOf(process).rss[Rss.anon]).toBe(4);
  machine.check();
});

/** A read that ends in a signal. */
function touchInVain(process: Process): void {
  const signal = run(readUser(process, BASE, new Uint8Array(1)));
  expect(signal).toMatchObject({ signo: "SIGBUS" });
}

test("a dead device costs only the process that touches its memory", () => {
  const { machine, device, process } = onDevice(2);
  const other = machine.spawn(1);
  write(other, 0, 9);
  device.onFault = dead;
  touchInVain(process);
  expect(process.signals.at(-1)).toMatchObject({ signo: "SIGBUS", code: "BUS_ADRERR" });
  expect(read(other, 0)).toBe(9);
  machine.check();
});

test("a driver that fails with an errno has not moved the page, and its process gets a signal", () => {
  const { machine, device, process } = onDevice(1);
  device.onFault = function* (): Sleeps<VmFault> {
    throw new KernelError("EIO", "the link is down");
  };
  touchInVain(process);
  expect(process.signals.at(-1)?.signo).toBe("SIGBUS");
  machine.check();
});

test("a driver can't keep a page by doing nothing about a touch: that is a SIGBUS, not an endless wait", () => {
  const { machine, device, process } = onDevice(1);
  device.onFault = function* (): Sleeps<VmFault> {
    return 0;
  };
  touchInVain(process);
  expect(process.signals.at(-1)?.signo).toBe("SIGBUS");
  machine.check();
});

test("gup moves a page back instead of pinning it on the device", () => {
  const { machine, process } = onDevice(2);
  const mm = mmOf(process);
  const [pinned] = run(withMmapLock(mm, pinUserPages(mm, BASE, 1, { write: true })));
  const [held] = run(withMmapLock(mm, getUserPages(mm, pageAt(1), 1, { write: false })));
  expect([isDevicePrivate(entryAt(process, 0).flags), isDevicePrivate(entryAt(process, 1).flags)]).toEqual([
    false,
    false,
  ]);
  expect([pinned, held]).toEqual([entryAt(process, 0).value, entryAt(process, 1).value]);
  unpinUserPages(machine.vm, [pinned ?? (0 as never)]);
  putUserPages(machine.vm, Int32Array.of(held ?? 0));
  machine.check();
});

test("a child shares pages of the device, which come back to both when one of them reads", () => {
  const { machine, device, process } = onDevice(2);
  const child = run(forkProcess(process));
  machine.check();
  for (const each of [process, child])
    expect(entryKind(entryAt(each, 0).flags)).toBe(EntryKind.devicePrivateRead);
  expect(entryAt(child, 0).value).toBe(entryAt(process, 0).value);
  expect(read(child, 0)).toBe(1);
  expect(device.faults).toBe(1);
  expect(entryAt(process, 0)).toMatchObject({ value: entryAt(child, 0).value });
  expect(entryAt(process, 0).flags & (Pte.present | Pte.write)).toBe(Pte.present);
  machine.check();
  expect(read(process, 0)).toBe(1);
  expect(device.faults).toBe(1);
});

test("a write to a page that was shared on the device makes a copy, and the other keeps what he had", () => {
  const { machine, process } = onDevice(2);
  const child = run(forkProcess(process));
  write(child, 1, 99);
  machine.check();
  expect([read(process, 1), read(child, 1)]).toEqual([2, 99]);
  run(exitProcess(child));
  write(process, 0, 50);
  expect(read(process, 0)).toBe(50);
  machine.check();
});

test("a page of the device is freed once, with its last entry", () => {
  const { machine, device, process } = onDevice(3);
  const child = run(forkProcess(process));
  run(munmap(mmOf(process), BASE, 3 * PAGE));
  expect(device.freed.size).toBe(0);
  run(exitProcess(child));
  expect([...device.freed.values()]).toEqual([1, 1, 1]);
  machine.check();
});

test("a page of the device is charged to nobody any more once it is free", () => {
  const paid: number[] = [];
  const charging = (): PageCharging => ({ ...uncharged, uncharge: (page) => void paid.push(page) });
  const { device, process } = createMemory(1, { charging });
  run(device.migrateTo(mmOf(process), BASE, 1));
  const { value } = entryAt(process, 0);
  run(munmap(mmOf(process), BASE, PAGE));
  expect(paid).toContain(value);
});

test("what mprotect() takes away stays away when the page comes back", () => {
  const { machine, process } = onDevice(1);
  run(mprotect(mmOf(process), BASE, PAGE, Prot.READ));
  expect(entryKind(entryAt(process, 0).flags)).toBe(EntryKind.devicePrivateRead);
  expect(read(process, 0)).toBe(1);
  expect(entryAt(process, 0).flags & (Pte.present | Pte.write)).toBe(Pte.present);
  run(mprotect(mmOf(process), BASE, PAGE, Prot.READ | Prot.WRITE));
  write(process, 0, 7);
  expect(read(process, 0)).toBe(7);
  machine.check();
});

test("rss, pagemap and mincore account for pages of a device as for the process's own", () => {
  const { machine, process } = onDevice(2);
  const mm = mmOf(process);
  expect(mm.rss[Rss.anon]).toBe(2);
  const [first] = pagemap(mm, BASE, 1, { privileged: true, softDirty: false });
  const frame = machine.memmap.pageToPfn(entryAt(process, 0).value as never);
  expect(first).toBe(PageMapBit.swap | PageMapBit.exclusive | (BigInt(frame) << 5n) | 26n);
  expect([...run(mincore(mm, BASE, 2 * PAGE))]).toEqual([1, 1]);
});

test("bad memory of the device is told to its driver", () => {
  const { machine, device } = onDevice(1);
  const frame = machine.memmap.pageToPfn(device.page(0));
  expect(run(memoryFailureDevPagemap(machine.pagemaps, frame, undefined))).toBe(true);
  expect(device.bad).toEqual([frame]);
});

test("exclusive access of a device ends with the first touch of a cpu", () => {
  const { machine, device, process } = createMemory(1);
  write(process, 0, 3);
  const [page] = run(
    withMmapLock(mmOf(process), makeDeviceExclusiveRange(mmOf(process), BASE, pageAt(1), device)),
  );
  if (!page) throw new Error("no page");
  expect(entryKind(entryAt(process, 0).flags)).toBe(EntryKind.deviceExclusiveWrite);
  unlockPage(machine.memmap, page);
  machine.memmap.putPage(page);
  expect(read(process, 0)).toBe(3);
  expect(entryAt(process, 0).flags & Pte.present).toBe(Pte.present);
  machine.check();
});
