import { assertInvariants, KernelError, MiB, type Page, run, Scheduler, seededChoice } from "@hetmem/kernel";
import { forkProcess, MapFlag, munmap, readUser, Rss, type Vm, vmInvariants } from "@hetmem/mm";
import { tryToUnmap } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { bytes, map, read, readSignal, text, write } from "@hetmem/test-machines/files";
import { errnoOf } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { fileRead, fileWrite } from "../src/file-io.ts";
import { cachePageSource, findLockPage, unlockAndPut } from "../src/filemap.ts";
import { memfdCreate } from "../src/memfd.ts";
import { OpenFile } from "../src/open-file.ts";
import { type ShmemInode, ShmemMount } from "../src/shmem-inode.ts";
import { shmemGetPage, shmemUnuse } from "../src/shmem-pages.ts";
import { createShmemInode, shmemFallocate, shmemVmOps } from "../src/shmem.ts";
import { TmpfsPages } from "../src/tmpfs-pages.ts";
import { punchHole, truncate } from "../src/truncate.ts";
import { writepage } from "../src/writeback.ts";

function tmpfsFile(vm: Vm, maxPages?: number): { inode: ShmemInode; file: OpenFile } {
  const inode = createShmemInode(vm, new ShmemMount({ major: 0, minor: 30 }, maxPages));
  return { inode, file: new OpenFile(inode, { path: "/tmp/file", writable: true, vmOps: shmemVmOps }) };
}

/** What reclaim does to a page of shmem: nobody maps it, and then it goes to swap. */
function swapOut(vm: Vm, inode: ShmemInode, index: number): boolean {
  const page = run(findLockPage(inode.mapping, index));
  expect(run(tryToUnmap(vm, page))).toBe(true);
  const written = run(writepage(vm, page));
  if (written) vm.memmap.putPage(page);
  else unlockAndPut(vm, page);
  return written;
}

test("memory that is mapped shared without a file is shared with a child", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  const at = map(parent, undefined, 4, MapFlag.SHARED);
  write(parent, at, "before");
  const child = run(forkProcess(parent));
  write(child, at + PAGE, "from the child");
  expect(read(child, at, 6)).toBe("before");
  expect(read(parent, at + PAGE, 14)).toBe("from the child");
  expect(mmOf(parent).rss[Rss.shmem]).toBe(2);
  expect(nodeStat(vm, "nr_shmem")).toBe(2);
  assertInvariants(vm, vmInvariants);
});

test("pages of shmem are on the anonymous lists, and of the page cache", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const at = map(process, undefined, 2, MapFlag.SHARED);
  write(process, at, "x");
  expect([nodeStat(vm, "nr_file_pages"), nodeStat(vm, "nr_mapped"), nodeStat(vm, "nr_anon_pages")]).toEqual([
    1, 1, 0,
  ]);
  expect([nodeStat(vm, "nr_inactive_anon"), nodeStat(vm, "nr_dirty")]).toEqual([1, 0]);
  expect(event(vm, "pgmajfault")).toBe(0);
});

test("an entry of shmem may be written as soon as it is made by a read", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const at = map(process, undefined, 1, MapFlag.SHARED);
  expect(read(process, at, 1)).toBe("\0");
  const { pageTable } = mmOf(process);
  expect(pageTable.flags(pageTable.find(at)) & Pte.write).toBe(Pte.write);
  expect(event(vm, "pgfault")).toBe(1);
});

test("shared memory is free again when the last one has unmapped it, and was promised as a whole till then", () => {
  const { vm, spawn, freePages } = vmMachine();
  const [parent, committed] = [spawn(), vm.commit.pages];
  const at = map(parent, undefined, 8, MapFlag.SHARED);
  expect(vm.commit.pages).toBe(committed + 8);
  write(parent, at, "x");
  const child = run(forkProcess(parent));
  run(munmap(mmOf(parent), at, 8 * PAGE));
  expect(read(child, at, 1)).toBe("x");
  const before = freePages();
  run(munmap(mmOf(child), at, 8 * PAGE));
  expect(vm.commit.pages).toBe(committed);
  // The page, and the three tables under the child's topmost one.
  expect(freePages()).toBe(before + 4);
  expect(nodeStat(vm, "nr_shmem")).toBe(0);
});

test("an access behind the end of the object is SIGBUS", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = tmpfsFile(vm);
  run(fileWrite(file, 0, bytes("short")));
  const at = map(process, file, 2, MapFlag.SHARED);
  expect(read(process, at, 5)).toBe("short");
  expect(readSignal(process, at + PAGE)).toMatchObject({ signo: "SIGBUS", code: "BUS_ADRERR" });
  run(truncate(inode, 2 * PAGE));
  expect(read(process, at + PAGE, 1)).toBe("\0");
});

test("a hole is read without a page", () => {
  const { vm } = vmMachine();
  const { file, inode } = tmpfsFile(vm);
  run(truncate(inode, 10 * PAGE));
  expect(text(run(fileRead(file, 3 * PAGE, 3)))).toBe("\0\0\0");
  expect(inode.mapping.pages.pages).toBe(0);
});

test("a tmpfs that is full refuses a write with ENOSPC and a fault with SIGBUS, and has room again after a hole", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file, inode } = tmpfsFile(vm, 4);
  expect(run(fileWrite(file, 0, new Uint8Array(6 * PAGE)))).toBe(4 * PAGE);
  expect(() => run(fileWrite(file, 4 * PAGE, bytes("x")))).toThrow(
    expect.objectContaining({ errno: "ENOSPC" }) as KernelError,
  );
  run(truncate(inode, 6 * PAGE));
  const at = map(process, file, 6, MapFlag.SHARED);
  expect(readSignal(process, at + 5 * PAGE)).toMatchObject({ signo: "SIGBUS" });
  run(punchHole(inode, 0, PAGE));
  expect(read(process, at + 5 * PAGE, 1)).toBe("\0");
  expect(inode.mount.usedPages).toBe(4);
});

test("a page that another task has added meanwhile is taken, and counts once against the tmpfs", () => {
  const { vm } = vmMachine();
  const { inode } = tmpfsFile(vm, 4);
  const { mapping } = inode;
  const source = cachePageSource(vm, undefined);
  const late = {
    ...source,
    *alloc() {
      const rival: Page = yield* shmemGetPage(mapping, 0, source);
      unlockAndPut(vm, rival);
      return yield* source.alloc();
    },
  };
  const page = run(shmemGetPage(mapping, 0, late));
  expect(mapping.pages.load(0)).toBe(page);
  unlockAndPut(vm, page);
  expect([mapping.pages.pages, inode.mount.usedPages, vm.memmap.refcount(page)]).toEqual([1, 1, 1]);
});

test("fallocate gives a file pages, all or none", () => {
  const { vm } = vmMachine();
  const { inode } = tmpfsFile(vm, 8);
  run(shmemFallocate(inode, 0, 5 * PAGE));
  expect([inode.size, inode.mapping.pages.pages]).toEqual([5 * PAGE, 5]);
  expect(() => run(shmemFallocate(inode, 0, 20 * PAGE))).toThrow("ENOSPC");
  expect([inode.size, inode.mapping.pages.pages, inode.mount.usedPages]).toEqual([5 * PAGE, 5, 5]);
});

test("a page of shmem goes to swap and comes back with what was written", () => {
  const { vm, spawn } = vmMachine();
  swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
  const process = spawn();
  const { file, inode } = tmpfsFile(vm);
  run(fileWrite(file, 0, bytes("kept in swap")));
  const at = map(process, file, 1, MapFlag.SHARED);
  read(process, at, 1);
  expect(swapOut(vm, inode, 0)).toBe(true);
  expect([inode.mapping.pages.pages, inode.mapping.pages.values]).toEqual([0, 1]);
  expect(nodeStat(vm, "nr_shmem")).toBe(0);
  expect(inode.mount.usedPages).toBe(1);
  expect(mmOf(process).rss[Rss.shmem]).toBe(0);
  expect(read(process, at, 12)).toBe("kept in swap");
  expect([inode.mapping.pages.pages, inode.mapping.pages.values]).toEqual([1, 0]);
  expect(vm.swap.freePages).toBe(vm.swap.totalPages);
  expect(vm.memmap.test(inode.mapping.pages.load(0) as Page, PageFlag.dirty)).toBe(true);
  assertInvariants(vm, vmInvariants);
});

test("a page of shmem that a process maps doesn't go to swap: it stays, dirty", () => {
  const { vm, spawn } = vmMachine();
  swapSpace(vm).swapon({ path: "/dev/vda", size: MiB });
  const process = spawn();
  const { file, inode } = tmpfsFile(vm);
  run(fileWrite(file, 0, bytes("kept")));
  const at = map(process, file, 1, MapFlag.SHARED);
  expect(read(process, at, 4)).toBe("kept");
  const page = run(findLockPage(inode.mapping, 0));
  expect(run(writepage(vm, page))).toBe(false);
  expect([inode.mapping.pages.load(0), vm.memmap.test(page, PageFlag.dirty)]).toEqual([page, true]);
  unlockAndPut(vm, page);
});

test("without swap a page of shmem stays, dirty", () => {
  const { vm } = vmMachine();
  const { file, inode } = tmpfsFile(vm);
  run(fileWrite(file, 0, bytes("stays")));
  expect(swapOut(vm, inode, 0)).toBe(false);
  expect(text(run(fileRead(file, 0, 5)))).toBe("stays");
});

test("what is cut off a page that is in swap reads as zeros when the file grows again, and so does a hole in one", () => {
  const { vm } = vmMachine();
  swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
  const { file, inode } = tmpfsFile(vm);
  run(fileWrite(file, 0, bytes("kept cut")));
  swapOut(vm, inode, 0);
  run(truncate(inode, 4));
  run(truncate(inode, 8));
  expect(text(run(fileRead(file, 0, 8)))).toBe("kept\0\0\0\0");
  swapOut(vm, inode, 0);
  run(punchHole(inode, 1, 3));
  expect(text(run(fileRead(file, 0, 4)))).toBe("k\0\0t");
  assertInvariants(vm, vmInvariants);
});

test("what is in swap goes with the part of the file that it is of, and with the file", () => {
  const { vm } = vmMachine();
  swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
  const { file, inode } = tmpfsFile(vm);
  inode.linked = false;
  run(fileWrite(file, 0, new Uint8Array(4 * PAGE).fill(9)));
  for (let i = 0; i < 4; i++) swapOut(vm, inode, i);
  expect(vm.swap.freePages).toBe(vm.swap.totalPages - 4);
  run(truncate(inode, 2 * PAGE));
  expect(vm.swap.freePages).toBe(vm.swap.totalPages - 2);
  run(file.close());
  expect(vm.swap.freePages).toBe(vm.swap.totalPages);
  expect(inode.mount.usedPages).toBe(0);
});

test("swapoff finds what files have in swap", () => {
  const { vm } = vmMachine();
  const device = swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
  const { file, inode } = tmpfsFile(vm);
  run(fileWrite(file, 0, bytes("back")));
  swapOut(vm, inode, 0);
  run(shmemUnuse(vm, device.type));
  expect(device.used).toBe(0);
  expect(text(run(fileRead(file, 0, 4)))).toBe("back");
});

test("readers that race with a page's way to swap and with each other read what was written", () => {
  for (let seed = 0; seed < 300; seed++) {
    const { vm, kernel, spawn } = vmMachine();
    swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
    const [one, other] = [spawn(), spawn()];
    const { file, inode } = tmpfsFile(vm);
    run(fileWrite(file, 0, bytes("both")));
    const [mine, theirs] = [map(one, file, 1, MapFlag.SHARED), map(other, file, 1, MapFlag.PRIVATE)];
    const scheduler = new Scheduler(kernel, seededChoice(seed));
    const page = run(findLockPage(inode.mapping, 0));
    const [a, b] = [new Uint8Array(4), new Uint8Array(4)];
    const out = scheduler.spawn("reclaim", writepage(vm, page));
    const tasks = [
      scheduler.spawn("shared", readUser(one, mine, a)),
      scheduler.spawn("private", readUser(other, theirs, b)),
      scheduler.spawn("read", fileRead(file, 0, 4)),
    ];
    scheduler.runAll();
    for (const task of tasks) void task.result;
    if (!out.result) unlockAndPut(vm, page);
    else vm.memmap.putPage(page);
    expect([text(a), text(b)], `seed ${seed}`).toEqual(["both", "both"]);
    assertInvariants(vm, vmInvariants);
  }
});

test("what is swapped in while a hole is punched there is gone, and so is its slot", () => {
  for (let seed = 0; seed < 300; seed++) {
    const { vm, kernel, spawn } = vmMachine();
    swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
    const process = spawn();
    const { file, inode } = tmpfsFile(vm);
    run(fileWrite(file, 0, bytes("hole")));
    const at = map(process, file, 1, MapFlag.SHARED);
    const page = run(findLockPage(inode.mapping, 0));
    const scheduler = new Scheduler(kernel, seededChoice(seed));
    const tasks = [
      scheduler.spawn("reclaim", writepage(vm, page)),
      scheduler.spawn("punch", punchHole(inode, 0, PAGE)),
      scheduler.spawn("load", readUser(process, at, new Uint8Array(1))),
      scheduler.spawn("read", fileRead(file, 0, 4)),
    ];
    scheduler.runAll();
    vm.memmap.putPage(page);
    for (const task of tasks) void task.result;
    expect(text(run(fileRead(file, 0, 4))), `seed ${seed}`).toBe("\0\0\0\0");
    // The page may still be in the swap cache, for reclaim to find; but nothing names its slot.
    for (let slot = 1; slot <= vm.swap.totalPages; slot++)
      expect(vm.swap.count(0, slot), `seed ${seed}`).toBe(0);
    assertInvariants(vm, vmInvariants);
  }
});

test("files of the shell's /tmp take pages of the machine, and give them back", () => {
  const { vm, freePages } = vmMachine();
  const before = freePages();
  const tmp = new TmpfsPages(vm, 10);
  const grow = (number: number, size: number): number =>
    run(tmp.write(number, tmp.size(number), new Uint8Array(size - tmp.size(number))));
  grow(5, 3 * PAGE + 1);
  grow(6, 1);
  expect(nodeStat(vm, "nr_shmem")).toBe(5);
  expect(grow(5, 11 * PAGE)).toBe(6 * PAGE - 1);
  expect(nodeStat(vm, "nr_shmem")).toBe(10);
  expect(() => grow(5, 11 * PAGE)).toThrow("ENOSPC");
  tmp.truncate(5, PAGE);
  tmp.unlink(6);
  expect(freePages()).toBe(before - 1);
  tmp.unlink(5);
  expect(freePages()).toBe(before);
  expect(tmp.mount.usedPages).toBe(0);
});

test("zeros that are written to a file take a page each and no contents", () => {
  const { vm } = vmMachine();
  const tmp = new TmpfsPages(vm, 100);
  run(tmp.write(5, 0, new Uint8Array(64 * PAGE)));
  expect(vm.memmap.contents.hostBytes).toBe(0);
  run(tmp.write(5, PAGE, Uint8Array.of(1, 2, 3)));
  run(tmp.write(5, PAGE + 1, Uint8Array.of(0)));
  expect([...run(tmp.read(5, PAGE - 1, 5))]).toEqual([0, 1, 0, 3, 0]);
  expect(tmp.size(5)).toBe(64 * PAGE);
});

test("each page of a memfd is promised while the file has it, and mode 2 answers ENOSPC for one too many", () => {
  const { vm } = vmMachine();
  const file = memfdCreate(vm, "counted", 0);
  const before = vm.commit.pages;
  run(fileWrite(file, 0, new Uint8Array(3 * PAGE)));
  expect(vm.commit.pages).toBe(before + 3);
  run(truncate(file.host, PAGE));
  expect(vm.commit.pages).toBe(before + 1);
  vm.tunables.overcommitMemory = 2;
  vm.tunables.overcommitKbytes = 4n * BigInt(before + 2);
  expect(errnoOf(fileWrite(file, PAGE, new Uint8Array(PAGE)))).toBe("ENOSPC");
  run(truncate(file.host, 0));
  expect(vm.commit.pages).toBe(before);
});
