import { assertInvariants, run } from "@hetmem/kernel";
import { forkProcess, MapFlag, munmap, Prot, Rss, vmInvariants } from "@hetmem/mm";
import { Pte } from "@hetmem/page-table";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { diskFile, map, read, readSignal, text, write } from "@hetmem/test-machines/files";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { fileRead } from "../src/file-io.ts";
import { dropPagecache } from "../src/invalidate.ts";

test("a process reads through a mapping what the disk holds", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 8);
  const at = map(process, file, 8, MapFlag.PRIVATE);
  expect(read(process, at + 5 * PAGE, 6)).toBe("page 5");
  expect(mmOf(process).rss[Rss.file]).toBeGreaterThan(0);
  assertInvariants(vm, vmInvariants);
});

test("the first fault on a page that isn't in memory is a major one, and the pages around it come along", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 64);
  const at = map(process, file, 64, MapFlag.SHARED, Prot.READ);
  read(process, at + 32 * PAGE, 1);
  expect(event(vm, "pgmajfault")).toBe(1);
  expect(nodeStat(vm, "nr_file_pages")).toBe(32);
  expect(event(vm, "pgpgin")).toBe(32 * 8);
});

test("a read fault maps what is in memory of the 64 KiB around it, and no further fault is taken there", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 64);
  run(fileRead(file, 0, 64 * PAGE));
  const at = map(process, file, 64, MapFlag.SHARED, Prot.READ);
  const inRegion = at - (at % (16 * PAGE)) + 16 * PAGE;
  read(process, inRegion + 3 * PAGE, 1);
  expect(mmOf(process).rss[Rss.file]).toBe(16);
  const faults = event(vm, "pgfault");
  for (let i = 0; i < 16; i++) read(process, inRegion + i * PAGE, 1);
  expect(event(vm, "pgfault")).toBe(faults);
  expect(event(vm, "pgmajfault")).toBe(0);
  assertInvariants(vm, vmInvariants);
});

test("fault-around stays within the mapping and the file", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 3);
  run(fileRead(file, 0, 3 * PAGE));
  const at = map(process, file, 8, MapFlag.SHARED, Prot.READ);
  read(process, at, 1);
  expect(mmOf(process).rss[Rss.file]).toBeLessThanOrEqual(3);
  expect(read(process, at + 2 * PAGE, 6)).toBe("page 2");
});

test("an access behind the end of the file is SIGBUS, though the last page is whole", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 2);
  inode.size = PAGE + 6;
  const at = map(process, file, 4, MapFlag.SHARED);
  expect(read(process, at + PAGE + PAGE - 1, 1)).toBe("\0");
  expect(readSignal(process, at + 2 * PAGE)).toMatchObject({ signo: "SIGBUS", code: "BUS_ADRERR" });
});

test("a block that can't be read is SIGBUS", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = diskFile(vm, 4);
  inode.store?.badBlocks.add(2);
  const at = map(process, file, 4, MapFlag.PRIVATE);
  expect(read(process, at + PAGE, 6)).toBe("page 1");
  expect(readSignal(process, at + 2 * PAGE)).toMatchObject({ signo: "SIGBUS" });
});

test("a private write makes a copy that neither the file nor another process sees", () => {
  const { vm, spawn } = vmMachine();
  const [one, other] = [spawn(), spawn()];
  const { file } = diskFile(vm, 2);
  const [mine, theirs] = [map(one, file, 2, MapFlag.PRIVATE), map(other, file, 2, MapFlag.PRIVATE)];
  write(one, mine, "copy");
  expect(read(one, mine, 6)).toBe("copy 0");
  expect(read(other, theirs, 6)).toBe("page 0");
  expect(text(run(fileRead(file, 0, 6)))).toBe("page 0");
  expect(mmOf(one).rss[Rss.anon]).toBe(1);
  assertInvariants(vm, vmInvariants);
});

test("a private write to a page that was read before copies it too", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 1);
  const at = map(process, file, 1, MapFlag.PRIVATE);
  expect(read(process, at, 4)).toBe("page");
  write(process, at, "copy");
  expect(read(process, at, 6)).toBe("copy 0");
  expect([...mmOf(process).rss]).toEqual([0, 1, 0, 0]);
  expect(nodeStat(vm, "nr_mapped")).toBe(0);
  assertInvariants(vm, vmInvariants);
});

test("a shared write is seen by all who map the file, and by read(2)", () => {
  const { vm, spawn } = vmMachine();
  const [one, other] = [spawn(), spawn()];
  const { file } = diskFile(vm, 2);
  const [mine, theirs] = [map(one, file, 2, MapFlag.SHARED), map(other, file, 2, MapFlag.SHARED)];
  expect(read(other, theirs + PAGE, 6)).toBe("page 1");
  write(one, mine + PAGE, "mark");
  expect(read(other, theirs + PAGE, 6)).toBe("mark 1");
  expect(text(run(fileRead(file, PAGE, 6)))).toBe("mark 1");
  assertInvariants(vm, vmInvariants);
});

test("a page of a shared mapping of a disk file is mapped read-only until it is written", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 1);
  const at = map(process, file, 1, MapFlag.SHARED);
  const { pageTable } = mmOf(process);
  read(process, at, 1);
  expect(pageTable.flags(pageTable.find(at)) & Pte.write).toBe(0);
  expect(nodeStat(vm, "nr_dirty")).toBe(0);
  write(process, at, "x");
  expect(pageTable.flags(pageTable.find(at)) & Pte.write).toBe(Pte.write);
  expect(nodeStat(vm, "nr_dirty")).toBe(1);
});

test("nr_mapped counts a page once, however many map it", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  const { file } = diskFile(vm, 1);
  const at = map(parent, file, 1, MapFlag.SHARED);
  read(parent, at, 1);
  const child = run(forkProcess(parent));
  read(child, at, 1);
  expect(nodeStat(vm, "nr_mapped")).toBe(1);
  run(munmap(mmOf(parent), at, PAGE));
  expect(nodeStat(vm, "nr_mapped")).toBe(1);
  run(munmap(mmOf(child), at, PAGE));
  expect(nodeStat(vm, "nr_mapped")).toBe(0);
  expect(nodeStat(vm, "nr_file_pages")).toBe(1);
  assertInvariants(vm, vmInvariants);
});

test("drop_caches leaves what is mapped and what is dirty", () => {
  const { vm, spawn, freePages } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 32);
  const before = freePages();
  const at = map(process, file, 1, MapFlag.SHARED);
  read(process, at, 1);
  const other = map(process, file, 1, MapFlag.SHARED);
  write(process, other, "dirty");
  run(dropPagecache(vm));
  expect(nodeStat(vm, "nr_file_pages")).toBe(1);
  run(munmap(mmOf(process), at, PAGE));
  run(munmap(mmOf(process), other, PAGE));
  run(dropPagecache(vm));
  expect(nodeStat(vm, "nr_file_pages")).toBe(1);
  expect(freePages()).toBe(before - 1);
});
