import { assertInvariants, run } from "@hetmem/kernel";
import { valueEntry } from "@hetmem/kernel/lib";
import { trylockPage, vmInvariants } from "@hetmem/mm";
import { workingsetEviction } from "@hetmem/mm/lru";
import { PageFlag } from "@hetmem/page";
import { nodeStat } from "@hetmem/test-machines/counters";
import { bytes, diskFile, text } from "@hetmem/test-machines/files";
import { PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { fileRead, fileWrite } from "../src/file-io.ts";
import {
  addToPageCache,
  allocCachePage,
  deleteFromPageCache,
  findGetPage,
  removeMapping,
  unlockAndPut,
} from "../src/filemap.ts";
import { memfdCreate } from "../src/memfd.ts";
import { createShmemInode, shmem } from "../src/shmem.ts";

test("a page in the cache is locked, on an LRU, counted, and has the cache's reference besides its owner's", () => {
  const {
    vm,
    vm: { memmap },
  } = vmMachine();
  const { mapping } = diskFile(vm, 4).inode;
  const page = run(allocCachePage(vm, undefined));
  expect(addToPageCache(mapping, page, 3)).toBe(true);
  expect(memmap.test(page, PageFlag.locked)).toBe(true);
  expect(memmap.refcount(page)).toBe(2);
  expect(vm.mappings.of(memmap, page)).toBe(mapping);
  expect([nodeStat(vm, "nr_file_pages"), nodeStat(vm, "nr_inactive_file")]).toEqual([1, 1]);
  expect(addToPageCache(mapping, run(allocCachePage(vm, undefined)), 3)).toBe(false);
  unlockAndPut(vm, page);
});

test("a page that leaves the cache is no longer of the file, and free with its last reference", () => {
  const {
    vm,
    vm: { memmap },
    freePages,
  } = vmMachine();
  const { mapping } = diskFile(vm, 4).inode;
  const before = freePages();
  const page = run(allocCachePage(vm, undefined));
  addToPageCache(mapping, page, 3);
  deleteFromPageCache(vm, page);
  expect(findGetPage(mapping, 3)).toBe(0);
  expect(memmap.mapping(page)).toBe(0);
  expect(nodeStat(vm, "nr_file_pages")).toBe(0);
  unlockAndPut(vm, page);
  expect(freePages()).toBe(before);
  expect(nodeStat(vm, "nr_inactive_file")).toBe(0);
});

test("a page can't leave the cache without its lock", () => {
  const { vm } = vmMachine();
  const { mapping } = diskFile(vm, 4).inode;
  const page = run(allocCachePage(vm, undefined));
  addToPageCache(mapping, page, 3);
  unlockAndPut(vm, page);
  expect(() => deleteFromPageCache(vm, page)).toThrow("can't be taken out of its file");
});

test("reclaim takes only a clean page that nobody else holds, and leaves its shadow", () => {
  const {
    vm,
    vm: { memmap },
  } = vmMachine();
  const { file, inode } = diskFile(vm, 1);
  run(fileRead(file, 0, 1));
  const page = findGetPage(inode.mapping, 0);
  trylockPage(memmap, page);
  memmap.getPage(page);
  expect(removeMapping(vm, page, -5)).toBe(false);
  memmap.putPage(page);
  expect(removeMapping(vm, page, -5)).toBe(true);
  expect(inode.mapping.pages.load(0)).toBe(-5);
  expect(findGetPage(inode.mapping, 0)).toBe(0);
  unlockAndPut(vm, page);
});

test("read(2) gives what the file has, and no more at its end", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 3);
  inode.size = 2 * PAGE + 4;
  expect(text(run(fileRead(file, 2 * PAGE, 100)))).toBe("page");
  expect(run(fileRead(file, 3 * PAGE, 10))).toHaveLength(0);
  const across = run(fileRead(file, PAGE - 2, 8));
  expect(text(across)).toBe("\0\0page 1");
});

test("read(2) of a block that can't be read fails with EIO, and stops short where it isn't the first", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 3);
  inode.store?.badBlocks.add(1);
  expect(() => run(fileRead(file, PAGE, 4))).toThrow("EIO");
  expect(run(fileRead(file, 0, 3 * PAGE))).toHaveLength(PAGE);
});

test("write(2) grows the file, and what it jumped over reads as zeros", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 1);
  run(fileWrite(file, 3 * PAGE + 10, bytes("far")));
  expect(inode.size).toBe(3 * PAGE + 13);
  expect(text(run(fileRead(file, 3 * PAGE + 8, 10)))).toBe("\0\0far");
  expect(text(run(fileRead(file, 2 * PAGE, 2)))).toBe("\0\0");
  assertInvariants(vm, vmInvariants);
});

test("a write of whole pages doesn't read them first, one of a part does", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 4);
  inode.store?.badBlocks.add(1);
  expect(run(fileWrite(file, PAGE, new Uint8Array(PAGE).fill(3)))).toBe(PAGE);
  inode.store?.badBlocks.add(2);
  expect(() => run(fileWrite(file, 2 * PAGE, bytes("part")))).toThrow("EIO");
});

test("a file that is open for reading can't be written", () => {
  const { vm } = vmMachine();
  const { file } = diskFile(vm, 1, false);
  expect(() => run(fileWrite(file, 0, bytes("x")))).toThrow("EBADF");
});

test("a page that is read twice becomes active, unless the second read goes on where the first one ended", () => {
  const { vm } = vmMachine();
  const { file } = diskFile(vm, 2);
  for (let at = 0; at < 4; at++) run(fileRead(file, at, 1));
  expect(nodeStat(vm, "nr_active_file")).toBe(0);
  run(fileRead(file, PAGE, 1));
  run(fileRead(file, 0, 1));
  expect(nodeStat(vm, "nr_active_file")).toBe(1);
});

test("writes don't make a page of a disk active, and make one of shmem so", () => {
  const { vm } = vmMachine();
  const { file } = diskFile(vm, 1);
  for (let at = 0; at < 3; at++) run(fileWrite(file, at, bytes("x")));
  expect([nodeStat(vm, "nr_inactive_file"), nodeStat(vm, "nr_active_file")]).toEqual([1, 0]);
  const memfd = memfdCreate(vm, "shared", 0);
  for (let at = 0; at < 3; at++) run(fileWrite(memfd, at, bytes("x")));
  expect([nodeStat(vm, "nr_inactive_anon"), nodeStat(vm, "nr_active_anon")]).toEqual([0, 1]);
});

test("a page of shmem doesn't take the place of one that is in swap", () => {
  const { vm } = vmMachine();
  const { mapping } = createShmemInode(vm, shmem(vm).mount);
  mapping.pages.store(2, valueEntry(77));
  const page = run(allocCachePage(vm, undefined));
  vm.memmap.set(page, PageFlag.swapbacked);
  expect(addToPageCache(mapping, page, 2)).toBe(false);
  expect(mapping.pages.load(2)).toBe(valueEntry(77));
});

test("a page that comes back while its shadow is there is a refault", () => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 1);
  run(fileRead(file, 0, 1));
  const page = findGetPage(inode.mapping, 0);
  trylockPage(vm.memmap, page);
  removeMapping(vm, page, workingsetEviction(vm, page, vm.lru.lruvecOf(page)));
  unlockAndPut(vm, page);
  run(fileRead(file, 0, 1));
  expect(nodeStat(vm, "workingset_refault_file")).toBe(1);
  expect(inode.mapping.pages.values).toBe(0);
});
