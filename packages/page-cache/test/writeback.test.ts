import { assertInvariants, KernelError, run, Scheduler, seededChoice, type VirtAddr } from "@hetmem/kernel";
import { MapFlag, munmap, vmInvariants, writeUser } from "@hetmem/mm";
import { Pte } from "@hetmem/page-table";
import { event, nodeStat, writePending } from "@hetmem/test-machines/counters";
import { bytes, diskFile, map, text, write } from "@hetmem/test-machines/files";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { fileRead, fileWrite } from "../src/file-io.ts";
import type { Inode } from "../src/inode.ts";
import { dropPagecache } from "../src/invalidate.ts";
import { msync, MsyncFlag } from "../src/msync.ts";
import { fsyncRange, syncAll } from "../src/writeback.ts";

function onDisk(inode: Inode, index: number, length: number): string {
  return text(inode.store?.block(index).subarray(0, length) ?? bytes("no disk"));
}

test("what was written is in memory, and on the disk after fsync", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 2);
  expect(run(fileWrite(file, PAGE, bytes("new!")))).toBe(4);
  expect(onDisk(inode, 1, 6)).toBe("page 1");
  run(fsyncRange(inode.mapping));
  expect(onDisk(inode, 1, 6)).toBe("new! 1");
  assertInvariants(vm, vmInvariants);
});

test("what is dirty is counted until it is written, and then as written", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 4);
  run(fileWrite(file, 0, new Uint8Array(3 * PAGE).fill(1)));
  run(fileWrite(file, 0, bytes("again")));
  expect([nodeStat(vm, "nr_dirty"), nodeStat(vm, "nr_dirtied"), writePending(vm)]).toEqual([3, 3, 3]);
  run(fsyncRange(inode.mapping));
  expect([nodeStat(vm, "nr_dirty"), nodeStat(vm, "nr_written"), writePending(vm)]).toEqual([0, 3, 0]);
  expect(nodeStat(vm, "nr_writeback")).toBe(0);
  expect(event(vm, "pgpgout")).toBe(3 * 8);
});

test("fsync write-protects a page, so that the next store makes it dirty again", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 1);
  const at = map(process, file, 1, MapFlag.SHARED);
  const { pageTable } = mmOf(process);
  write(process, at, "one");
  run(fsyncRange(inode.mapping));
  expect(onDisk(inode, 0, 3)).toBe("one");
  expect(pageTable.flags(pageTable.find(at)) & (Pte.write | Pte.dirty)).toBe(0);
  write(process, at, "two");
  expect(nodeStat(vm, "nr_dirty")).toBe(1);
  run(fsyncRange(inode.mapping));
  expect(onDisk(inode, 0, 3)).toBe("two");
  assertInvariants(vm, vmInvariants);
});

test("what was stored through a mapping that has gone still reaches the disk", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 1);
  const at = map(process, file, 1, MapFlag.SHARED);
  write(process, at, "kept");
  run(munmap(mmOf(process), at, PAGE));
  run(syncAll(vm));
  expect(onDisk(inode, 0, 6)).toBe("kept 0");
});

test("clean pages can be dropped and come back from the disk", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 2);
  run(fileWrite(file, 0, bytes("disk")));
  run(fsyncRange(inode.mapping));
  run(dropPagecache(vm));
  expect(inode.mapping.pages.pages).toBe(0);
  expect(text(run(fileRead(file, 0, 6)))).toBe("disk 0");
});

test("a disk that takes no page is told by fsync once, with EIO", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 1);
  run(fileWrite(file, 0, bytes("lost")));
  inode.store?.badBlocks.add(0);
  expect(() => run(fsyncRange(inode.mapping))).toThrow(
    expect.objectContaining({ errno: "EIO" }) as KernelError,
  );
  run(fsyncRange(inode.mapping));
});

test("a store behind the end of the file isn't written to the disk", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 1);
  inode.size = 4;
  const at = map(process, file, 1, MapFlag.SHARED);
  write(process, at, "pageXX");
  run(fsyncRange(inode.mapping));
  expect(onDisk(inode, 0, 6)).toBe("page\0\0");
});

test("msync with SYNC writes shared mappings, ASYNC leaves them to others", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 2);
  const at = map(process, file, 2, MapFlag.SHARED);
  write(process, at, "sync");
  run(msync(mmOf(process), at, PAGE, MsyncFlag.ASYNC));
  expect(onDisk(inode, 0, 4)).toBe("page");
  run(msync(mmOf(process), at, PAGE, MsyncFlag.SYNC));
  expect(onDisk(inode, 0, 4)).toBe("sync");
});

test("msync of a range with a gap writes what is mapped and says ENOMEM", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 3);
  const at = map(process, file, 3, MapFlag.SHARED);
  write(process, at, "first");
  write(process, at + 2 * PAGE, "third");
  run(munmap(mmOf(process), (at + PAGE) as VirtAddr, PAGE));
  expect(() => run(msync(mmOf(process), at, 3 * PAGE, MsyncFlag.SYNC))).toThrow("ENOMEM");
  expect([onDisk(inode, 0, 5), onDisk(inode, 2, 5)]).toEqual(["first", "third"]);
});

test("msync refuses flags that exclude each other, and a start within a page", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 1);
  const at = map(process, file, 1, MapFlag.SHARED);
  const sync = (from: number, flags: number): void =>
    run(msync(mmOf(process), from as VirtAddr, PAGE, flags));
  expect(() => sync(at, MsyncFlag.SYNC | MsyncFlag.ASYNC)).toThrow("EINVAL");
  expect(() => sync(at + 1, MsyncFlag.SYNC)).toThrow("EINVAL");
});

test("a writer who makes a fifth of the memory dirty writes it back himself", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 1);
  const chunk = new Uint8Array(256 * PAGE).fill(7);
  let most = 0;
  for (let i = 0; i < 40; i++) {
    run(fileWrite(file, i * chunk.length, chunk));
    most = Math.max(most, nodeStat(vm, "nr_dirty"));
  }
  expect(most).toBeGreaterThan(1000);
  expect(most).toBeLessThan((128 * 1024 * 1024) / PAGE / 4);
  expect(nodeStat(vm, "nr_written")).toBeGreaterThan(0);
  expect(inode.mapping.pages.pages).toBe(40 * 256);
});

test("a store is never lost between a page becoming clean and being written", () => {
  for (let seed = 0; seed < 300; seed++) {
    const { vm, kernel, spawn } = vmMachine();
    const process = spawn();
    const { file, inode } = diskFile(vm, 1);
    const at = map(process, file, 1, MapFlag.SHARED);
    write(process, at, "old");
    const scheduler = new Scheduler(kernel, seededChoice(seed));
    const tasks = [
      scheduler.spawn("fsync", fsyncRange(inode.mapping)),
      scheduler.spawn("store", writeUser(process, at, bytes("new"))),
      scheduler.spawn("sync", syncAll(vm)),
    ];
    scheduler.runAll();
    for (const task of tasks) void task.result;
    run(fsyncRange(inode.mapping));
    expect(onDisk(inode, 0, 3), `seed ${seed}`).toBe("new");
    expect([nodeStat(vm, "nr_dirty"), writePending(vm)], `seed ${seed}`).toEqual([0, 0]);
    assertInvariants(vm, vmInvariants);
  }
});
