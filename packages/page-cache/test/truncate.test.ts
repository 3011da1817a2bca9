import { assertInvariants, type Page, run, Scheduler, seededChoice, type VirtAddr } from "@hetmem/kernel";
import { MapFlag, munmap, readUser, Rss, vmInvariants, writeUser } from "@hetmem/mm";
import { endWriteback, startWriteback } from "@hetmem/mm/file";
import { nodeStat } from "@hetmem/test-machines/counters";
import { bytes, diskFile, map, read, readSignal, text, write } from "@hetmem/test-machines/files";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { fileRead, fileWrite } from "../src/file-io.ts";
import { unlinkInode } from "../src/open-file.ts";
import { punchHole, truncate } from "../src/truncate.ts";
import { fsyncRange } from "../src/writeback.ts";

test("truncate takes the pages behind the end from those who map them, private copies included", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 4);
  const shared = map(process, file, 4, MapFlag.SHARED);
  const mine = map(process, file, 4, MapFlag.PRIVATE);
  write(process, shared + 3 * PAGE, "shared");
  write(process, mine + 3 * PAGE, "private");
  run(truncate(inode, 2 * PAGE));
  expect(readSignal(process, shared + 3 * PAGE)).toMatchObject({ signo: "SIGBUS" });
  expect(inode.mapping.pages.find(2, 10)).toBe(-1);
  expect(mmOf(process).rss[Rss.anon]).toBe(0);
  expect(nodeStat(vm, "nr_dirty")).toBe(0);
  assertInvariants(vm, vmInvariants);
});

test("what was behind the end reads as zeros when the file grows again, on the disk too", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 2);
  run(fileRead(file, 0, 2 * PAGE));
  run(truncate(inode, PAGE + 4));
  run(truncate(inode, 2 * PAGE));
  expect(text(run(fileRead(file, PAGE, 6)))).toBe("page\0\0");
  run(fsyncRange(inode.mapping));
  expect(text(inode.store?.block(1).subarray(0, 6) ?? bytes(""))).toBe("page\0\0");
});

test("a hole reads as zeros and takes no memory, and private copies stay", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 4);
  const shared = map(process, file, 4, MapFlag.SHARED);
  const mine = map(process, file, 4, MapFlag.PRIVATE);
  read(process, shared + PAGE, 1);
  write(process, mine + 2 * PAGE, "my");
  run(punchHole(inode, PAGE - 4, 3 * PAGE));
  expect(inode.mapping.pages.find(1, 2)).toBe(-1);
  expect(inode.size).toBe(4 * PAGE);
  expect(read(process, shared, 6)).toBe("page 0");
  expect(read(process, shared + PAGE, 6)).toBe("\0\0\0\0\0\0");
  expect(read(process, mine + 2 * PAGE, 6)).toBe("myge 2");
  expect(read(process, shared + 3 * PAGE, 6)).toBe("page 3");
  assertInvariants(vm, vmInvariants);
});

test("a hole within one page zeroes those bytes alone", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 1);
  run(fileRead(file, 0, 1));
  run(punchHole(inode, 1, 3));
  expect(text(run(fileRead(file, 0, 6)))).toBe("p\0\0e 0");
});

test("a hole across the border of two pages zeroes bytes in both, and both pages stay", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 2);
  run(fileRead(file, 0, 2 * PAGE));
  run(fileWrite(file, PAGE - 4, bytes("beforeafter")));
  run(punchHole(inode, PAGE - 2, PAGE + 2));
  expect(text(run(fileRead(file, PAGE - 4, 11)))).toBe("be\0\0\0\0after");
  expect(inode.mapping.pages.pages).toBe(2);
});

test("blocks behind the end that were never read are zeros when the file grows again", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 4);
  run(truncate(inode, PAGE));
  run(truncate(inode, 4 * PAGE));
  for (const page of [1, 2, 3]) expect(text(run(fileRead(file, page * PAGE, 4)))).toBe("\0\0\0\0");
});

test("truncate leaves a page to the disk that is writing it, until it has", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 2);
  run(fileRead(file, PAGE, 1));
  const page = inode.mapping.pages.load(1) as Page;
  startWriteback(vm, page);
  const task = truncate(inode, PAGE);
  let step = task.next();
  while (!step.done && step.value.ready()) step = task.next();
  expect(step.value?.why).toBe("page writeback");
  expect(inode.mapping.pages.load(1)).toBe(page);
  endWriteback(vm, page);
  run(task);
  expect(inode.mapping.pages.pages).toBe(0);
});

test("a file without a name ends with its last user, and its memory is free again", () => {
  const { vm, spawn, freePages } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 16);
  const at = map(process, file, 16, MapFlag.SHARED);
  read(process, at, 1);
  run(munmap(mmOf(process), at, 16 * PAGE));
  const withPages = freePages();
  const again = map(process, file, 16, MapFlag.SHARED);
  run(unlinkInode(inode));
  run(file.close());
  expect(read(process, again, 6)).toBe("page 0");
  run(munmap(mmOf(process), again, 16 * PAGE));
  expect(freePages()).toBe(withPages + 16);
  expect([...vm.mappings]).not.toContain(inode.mapping);
});

test("a fault that races with truncate finds the file's page, or SIGBUS, and leaves none behind", () => {
  for (let seed = 0; seed < 300; seed++) {
    const { vm, kernel, spawn } = vmMachine();
    const [one, other] = [spawn(), spawn()];
    const { file, inode } = diskFile(vm, 4);
    const shared = map(one, file, 4, MapFlag.SHARED);
    const mine = map(other, file, 4, MapFlag.PRIVATE);
    const scheduler = new Scheduler(kernel, seededChoice(seed));
    const reader = scheduler.spawn(
      "reader",
      readUser(one, (shared + 3 * PAGE) as VirtAddr, new Uint8Array(1)),
    );
    scheduler.spawn("writer", writeUser(other, (mine + 3 * PAGE) as VirtAddr, bytes("private")));
    scheduler.spawn("truncate", truncate(inode, PAGE));
    scheduler.runAll();
    const signal = reader.result;
    expect(signal === undefined || signal.signo === "SIGBUS", `seed ${seed}`).toBe(true);
    expect(mmOf(other).rss[Rss.anon], `seed ${seed}`).toBe(0);
    expect(readSignal(one, shared + 3 * PAGE), `seed ${seed}`).toMatchObject({ signo: "SIGBUS" });
    expect(readSignal(other, mine + 3 * PAGE), `seed ${seed}`).toMatchObject({ signo: "SIGBUS" });
    assertInvariants(vm, vmInvariants);
  }
});

test("a hole that is punched while somebody writes holds zeros or what he wrote after it", () => {
  for (let seed = 0; seed < 300; seed++) {
    const { vm, kernel, spawn } = vmMachine();
    const [process, reader] = [spawn(), spawn()];
    const { file, inode } = diskFile(vm, 4);
    if (seed % 2 === 1) run(fileRead(file, 0, 4 * PAGE));
    const at = map(process, file, 4, MapFlag.SHARED);
    const seen = map(reader, file, 4, MapFlag.PRIVATE);
    const scheduler = new Scheduler(kernel, seededChoice(seed));
    const tasks = [
      scheduler.spawn("store", writeUser(process, (at + PAGE) as VirtAddr, bytes("mapping"))),
      scheduler.spawn("load", readUser(reader, (seen + PAGE) as VirtAddr, new Uint8Array(1))),
      scheduler.spawn("write", fileWrite(file, PAGE, bytes("syscall"))),
      scheduler.spawn("punch", punchHole(inode, PAGE, 2 * PAGE)),
      scheduler.spawn("fsync", fsyncRange(inode.mapping)),
    ];
    scheduler.runAll();
    for (const task of tasks) void task.result;
    const now = text(run(fileRead(file, PAGE, 7)));
    expect(["\0".repeat(7), "syscall", "mapping"], `seed ${seed}`).toContain(now);
    expect(read(process, at + PAGE, 7), `seed ${seed}`).toBe(now);
    expect(read(reader, seen + PAGE, 7), `seed ${seed}`).toBe(now);
    run(fsyncRange(inode.mapping));
    expect(text(inode.store?.block(1).subarray(0, 7) ?? bytes("")), `seed ${seed}`).toBe(now);
    assertInvariants(vm, vmInvariants);
  }
});
