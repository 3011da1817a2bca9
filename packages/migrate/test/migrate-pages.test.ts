import {
  assertInvariants,
  condResched,
  KernelBug,
  MiB,
  nodeId,
  type Page,
  run,
  Scheduler,
  seededChoice,
  virtAddr,
} from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  MapFlag,
  mlock,
  trylockPage,
  uncharged,
  unlockPage,
  type Vm,
  VmFlag,
  vmInvariants,
} from "@hetmem/mm";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { fileWrite } from "@hetmem/page-cache";
import { deviceOfEntry, slotOfEntry } from "@hetmem/page-table";
import { addToSwap, swapSpace } from "@hetmem/reclaim";
import { nodeStat } from "@hetmem/test-machines/counters";
import { diskFile, map, write as writeAt } from "@hetmem/test-machines/files";
import { fileAt, mapAt, RW, touchFile } from "@hetmem/test-machines/hand-mapped";
import { BASE, moveToNode1, ON_NODE_1, pageOf, read, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Gfp, GFP_HIGHUSER_MOVABLE, NodeStat, VmEvent, ZoneStat } from "@hetmem/zone";
import { describe, expect, test } from "vitest";
import { MigrateMode, MigrateReason, type MigrateResult } from "../src/migrate-mode.ts";
import { cacheReferences, migratePage } from "../src/migrate-page.ts";
import { migratePages, putbackMovablePages } from "../src/migrate-pages.ts";
import { type MigrationTarget, migrationTarget } from "../src/migration-target.ts";

/** Isolates a page, and migrates it to a node. */
function migrateTo(vm: Vm, page: Page, node: number): MigrateResult {
  expect(vm.lru.isolate(page)).toBe(true);
  const target = migrationTarget(vm, { node: nodeId(node), gfp: GFP_HIGHUSER_MOVABLE | Gfp.THISNODE });
  return run(migratePages(vm, [page], target, MigrateMode.Sync, MigrateReason.Syscall));
}

/** A target on node 1, and the pages for which it was asked for a place. */
function countingTarget(vm: Vm): { readonly target: MigrationTarget; readonly asked: Page[] } {
  const asked: Page[] = [];
  const target = migrationTarget(vm, ON_NODE_1);
  const tryAlloc = (page: Page): Page => {
    asked.push(page);
    return target.tryAlloc(page);
  };
  return { asked, target: { ...target, tryAlloc } };
}

describe("a page that nobody holds", () => {
  test("moves to the node that was asked for, with what is written in it", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 4);
    write(process, 2, "moves along");
    const old = pageOf(process, 2);
    expect(moveToNode1(vm, [old])).toEqual({ migrated: 1, failed: [] });
    expect(vm.memmap.nodeOf(pageOf(process, 2))).toBe(1);
    expect(read(process, 2, 11)).toBe("moves along");
    expect(vm.memory.allocator.events[VmEvent.pgmigrate_success]).toBe(1);
    assertInvariants(vm, vmInvariants);
  });

  test("is free where it was, and counted as isolated nowhere", () => {
    const machine = vmMachine();
    const { vm } = machine;
    const process = machine.spawn();
    withMemory(process, 300);
    for (let i = 0; i < 300; i++) write(process, i, `page ${i}`);
    const free = machine.freePages();
    const pages = Array.from({ length: 300 }, (_, i) => pageOf(process, i));
    expect(moveToNode1(vm, pages).migrated).toBe(300);
    expect(machine.freePages()).toBe(free);
    for (const [i, page] of pages.entries()) {
      expect(vm.memmap.refcount(page)).toBe(0);
      expect(read(process, i, 8)).toBe(`page ${i}`.padEnd(8, "\0"));
    }
    expect(nodeStat(vm, "nr_isolated_anon")).toBe(0);
    run(exitProcess(process));
    assertInvariants(vm, vmInvariants);
  });

  test("moves for the parent and all its children at once, and stays theirs together", () => {
    const { vm, spawn } = vmMachine();
    const parent = spawn();
    withMemory(parent, 1);
    write(parent, 0, "family");
    const child = run(forkProcess(parent));
    const grandchild = run(forkProcess(child));
    expect(moveToNode1(vm, [pageOf(parent, 0)]).migrated).toBe(1);
    const fresh = pageOf(parent, 0);
    expect([pageOf(child, 0), pageOf(grandchild, 0)]).toEqual([fresh, fresh]);
    expect([vm.memmap.mapcount(fresh), vm.memmap.refcount(fresh)]).toEqual([3, 3]);
    write(child, 0, "mine");
    expect([read(parent, 0, 6), read(child, 0, 6)]).toEqual(["family", "minely"]);
    assertInvariants(vm, vmInvariants);
  });

  test("of a file is found there by everybody afterwards, dirty if it was written", () => {
    const { vm, spawn } = vmMachine();
    const file = fileAt(vm, "/data", 7);
    const processes = [spawn(), spawn()];
    const shared = RW | VmFlag.SHARED;
    const [first, second] = processes.map((process) =>
      mapAt(mmOf(process), 0x10_0000, 0x10_4000, { file, flags: shared }),
    );
    if (!first || !second) throw new Error("no mapping");
    for (const vma of [first, second]) file.mapping?.iMmap.insert(vma);
    const page = touchFile(first, 0x10_2000, { entry: 1 << 3 });
    vm.memmap.contents.write(page, 0, new TextEncoder().encode("bytes"));
    expect(moveToNode1(vm, [page]).migrated).toBe(1);
    const fresh = file.mapping?.pages.load(2) as Page;
    expect(fresh).not.toBe(page);
    expect(vm.memmap.test(fresh, PageFlag.dirty)).toBe(true);
    expect(vm.memmap.refcount(fresh)).toBe(2);
    expect(new TextDecoder().decode(vm.memmap.contents.bytes(fresh)?.subarray(0, 5))).toBe("bytes");
  });

  test("of a file hands its dirtiness to the new page, and is clean itself: the disk is owed one write, not two", () => {
    const { vm } = vmMachine();
    const { file } = diskFile(vm, 1);
    run(fileWrite(file, 0, Uint8Array.of(9)));
    const old = file.mapping?.pages.load(0) as Page;
    const fresh = vm.pages.tryAlloc(GFP_HIGHUSER_MOVABLE, 0, nodeId(1), undefined);
    vm.lru.isolate(old);
    for (const page of [old, fresh]) expect(trylockPage(vm.memmap, page)).toBe(true);
    const dirty = (): boolean[] => [old, fresh].map((page) => vm.memmap.test(page, PageFlag.dirty));
    expect(dirty()).toEqual([true, false]);
    expect(migratePage(vm, old, fresh, 0)).toBe(true);
    expect(dirty()).toEqual([false, true]);
    expect(nodeStat(vm, "nr_dirty")).toBe(1);
  });

  test("of a file that no process maps is held by its file alone where it is now, and counts there", () => {
    const { vm } = vmMachine();
    const { file } = diskFile(vm, 1);
    run(fileWrite(file, 0, Uint8Array.of(9)));
    const old = file.mapping.pages.load(0) as Page;
    const [from, to] = [vm.memmap.nodeOf(old), 1 - vm.memmap.nodeOf(old)];
    expect(migrateTo(vm, old, to).failed).toEqual([]);
    const fresh = file.mapping.pages.load(0) as Page;
    expect([vm.memmap.nodeOf(fresh), vm.memmap.refcount(fresh), vm.memmap.refcount(old)]).toEqual([to, 1, 0]);
    const pages = (node: number, name: "nr_file_pages" | "nr_dirty"): number | undefined =>
      vm.memory.nodes[node]?.stat[NodeStat[name]];
    const pending = (node: number): number =>
      (vm.memory.nodes[node]?.zones ?? []).reduce(
        (sum, { stat }) => sum + (stat[ZoneStat.nr_zone_write_pending] ?? 0),
        0,
      );
    expect([from, to].map((node) => pages(node, "nr_file_pages"))).toEqual([0, 1]);
    expect([from, to].map((node) => pages(node, "nr_dirty"))).toEqual([0, 1]);
    expect([from, to].map(pending)).toEqual([0, 1]);
    assertInvariants(vm, vmInvariants);
  });

  test("of shared memory counts on its new node", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    const start = map(process, undefined, 1, MapFlag.SHARED);
    writeAt(process, start, "shared");
    const { pageTable } = mmOf(process);
    const old = pageTable.value(pageTable.find(start)) as Page;
    const [from, to] = [vm.memmap.nodeOf(old), 1 - vm.memmap.nodeOf(old)];
    expect(migrateTo(vm, old, to).failed).toEqual([]);
    expect([from, to].map((node) => vm.memory.nodes[node]?.stat[NodeStat.nr_shmem])).toEqual([0, 1]);
    assertInvariants(vm, vmInvariants);
  });

  test("has a reference of its file, or of the swap cache, besides those of its users", () => {
    expect(cacheReferences(PageFlag.uptodate, 2)).toBe(1);
    expect(cacheReferences(PageFlag.uptodate, 0)).toBe(0);
    expect(cacheReferences(PageFlag.uptodate, 3)).toBe(0);
    expect(cacheReferences(PageFlag.swapcache, 3)).toBe(1);
  });

  test("of a file is replaced there by a page with a reference of the file, besides the caller's", () => {
    const { vm } = vmMachine();
    const { file } = diskFile(vm, 1);
    run(fileWrite(file, 0, Uint8Array.of(9)));
    const old = file.mapping.pages.load(0) as Page;
    const fresh = vm.pages.tryAlloc(0, 0, nodeId(1), undefined);
    vm.lru.isolate(old);
    expect(migratePage(vm, old, fresh, 0)).toBe(true);
    expect(file.mapping.pages.load(0)).toBe(fresh);
    expect([vm.memmap.refcount(old), vm.memmap.refcount(fresh)]).toEqual([1, 2]);
  });

  test("in the swap cache takes its slot along", () => {
    const { vm, spawn } = vmMachine();
    swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "cached");
    const old = pageOf(process, 0);
    trylockPage(vm.memmap, old);
    addToSwap(vm, old);
    unlockPage(vm.memmap, old);
    const entry = vm.memmap.private(old);
    expect(moveToNode1(vm, [old]).migrated).toBe(1);
    const fresh = pageOf(process, 0);
    expect(vm.swap.cache.lookup(deviceOfEntry(entry), slotOfEntry(entry))).toBe(fresh);
    expect([vm.memmap.private(fresh), vm.memmap.refcount(fresh)]).toEqual([entry, 2]);
    expect(vm.memmap.refcount(old)).toBe(0);
    expect(read(process, 0, 6)).toBe("cached");
    expect(nodeStat(vm, "nr_swapcached")).toBe(1);
    assertInvariants(vm, vmInvariants);
  });

  test("that is locked in memory stays so, and off the lists that reclaim looks at", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "locked");
    run(mlock(mmOf(process), virtAddr(BASE), 4096));
    expect(moveToNode1(vm, [pageOf(process, 0)]).migrated).toBe(1);
    const fresh = pageOf(process, 0);
    expect(vm.memmap.nodeOf(fresh)).toBe(1);
    const locked = PageFlag.mlocked | PageFlag.unevictable | PageFlag.lru;
    expect(vm.memmap.flags(fresh) & locked).toBe(locked);
    expect(nodeStat(vm, "nr_unevictable")).toBe(1);
    assertInvariants(vm, vmInvariants);
  });

  test("takes its charge along", () => {
    const moves: (readonly [Page, Page])[] = [];
    const charging = { ...uncharged, migrate: (old: Page, fresh: Page) => moves.push([old, fresh]) };
    const { vm, spawn } = vmMachine({ charging });
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    const old = pageOf(process, 0);
    moveToNode1(vm, [old]);
    expect(moves).toEqual([[old, pageOf(process, 0)]]);
  });

  test("is left to the caller when its memory is about to fail", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    const page = pageOf(process, 0);
    vm.lru.isolate(page);
    const target = migrationTarget(vm, ON_NODE_1);
    run(migratePages(vm, [page], target, MigrateMode.Sync, MigrateReason.MemoryFailure));
    expect(vm.memmap.refcount(page)).toBe(1);
    expect(vm.memmap.test(page, PageFlag.isolated)).toBe(false);
  });

  test("that was freed meanwhile needs no move", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    const page = pageOf(process, 0);
    vm.lru.isolate(page);
    run(exitProcess(process));
    const { target, asked } = countingTarget(vm);
    const result = run(migratePages(vm, [page], target, MigrateMode.Sync, MigrateReason.Syscall));
    expect(result).toEqual({ migrated: 1, failed: [] });
    expect(vm.memmap.refcount(page)).toBe(0);
    expect(asked).toEqual([]);
  });
});

describe("a page that can't move", () => {
  test("is pinned: EAGAIN with its counts after ten tries, and its process goes on", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 2);
    write(process, 0, "pinned");
    write(process, 1, "free");
    const page = pageOf(process, 0);
    vm.memmap.getPage(page);
    const { migrated, failed } = moveToNode1(vm, [page, pageOf(process, 1)]);
    expect(migrated).toBe(1);
    expect(failed).toEqual([{ page, errno: "EAGAIN", reason: "is pinned (refcount 3, mapcount 1)" }]);
    expect(vm.memory.allocator.events[VmEvent.pgmigrate_fail]).toBe(1);
    putbackMovablePages(vm, [page]);
    vm.memmap.putPage(page);
    expect([pageOf(process, 0), read(process, 0, 6)]).toEqual([page, "pinned"]);
    expect(vm.memmap.test(page, PageFlag.anonExclusive)).toBe(true);
    write(process, 0, "PINNED");
    expect(pageOf(process, 0)).toBe(page);
    assertInvariants(vm, vmInvariants);
  });

  test("is tried ten times, each time with a new page", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "pinned");
    const page = pageOf(process, 0);
    vm.memmap.getPage(page);
    vm.lru.isolate(page);
    const { target, asked } = countingTarget(vm);
    run(migratePages(vm, [page], target, MigrateMode.Sync, MigrateReason.Syscall));
    expect(asked).toEqual(Array.from({ length: 10 }, () => page));
  });

  test("keeps the pages behind it from moving only when there is no more room", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 3);
    for (let i = 0; i < 3; i++) write(process, i, "x");
    const pages = [0, 1, 2].map((i) => pageOf(process, i));
    for (const page of pages) vm.lru.isolate(page);
    let left = 1;
    const near = migrationTarget(vm, ON_NODE_1);
    const target = {
      tryAlloc: (page: Page) => (left-- > 0 ? near.tryAlloc(page) : (NULL_PAGE as Page)),
      *alloc() {
        return NULL_PAGE as Page;
      },
    };
    const result = run(migratePages(vm, pages, target, MigrateMode.Sync, MigrateReason.Syscall));
    expect(result.migrated).toBe(1);
    expect(result.failed.map(({ page, errno }) => [page, errno])).toEqual([
      [pages[1], "ENOMEM"],
      [pages[2], "ENOMEM"],
    ]);
    // The page for which there was no room has failed; those behind it were not tried.
    expect(vm.memory.allocator.events[VmEvent.pgmigrate_fail]).toBe(1);
    putbackMovablePages(vm, pages.slice(1));
    assertInvariants(vm, vmInvariants);
  });

  test("is being written back: EBUSY unless the migration is synchronous", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    const page = pageOf(process, 0);
    vm.lru.isolate(page);
    vm.memmap.set(page, PageFlag.writeback);
    const target = migrationTarget(vm, ON_NODE_1);
    for (const mode of [MigrateMode.Async, MigrateMode.SyncLight]) {
      const { failed } = run(migratePages(vm, [page], target, mode, MigrateReason.Compaction));
      expect(failed).toEqual([{ page, errno: "EBUSY", reason: "is being written back" }]);
    }
    expect(() => run(migratePages(vm, [page], target, MigrateMode.Sync, MigrateReason.Compaction))).toThrow(
      "page writeback",
    );
  });

  test("isn't isolated: that is a bug of the caller", () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    const target = migrationTarget(vm, ON_NODE_1);
    const task = migratePages(vm, [pageOf(process, 0)], target, MigrateMode.Sync, MigrateReason.Syscall);
    expect(() => run(task)).toThrow(KernelBug);
  });
});

test("a huge page moves in parts, and is read as before", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  withMemory(process, 512, RW | VmFlag.HUGEPAGE);
  for (const i of [0, 7, 511]) write(process, i, `part ${i}`);
  const { pageTable } = mmOf(process);
  const head = pageTable.value(pageTable.findPmd(virtAddr(BASE))) as Page;
  expect(vm.memmap.test(head, PageFlag.head)).toBe(true);
  expect(moveToNode1(vm, [head])).toEqual({ migrated: 512, failed: [] });
  for (const i of [0, 7, 511]) {
    expect(vm.memmap.nodeOf(pageOf(process, i))).toBe(1);
    expect(read(process, i, 6).startsWith("part")).toBe(true);
  }
  expect(vm.memory.allocator.events[VmEvent.thp_migration_split]).toBe(1);
  assertInvariants(vm, vmInvariants);
  run(exitProcess(process));
  assertInvariants(vm, vmInvariants);
});

describe("a page that somebody has locked", () => {
  /** Moves a locked page while its holder keeps it for some steps. @returns what came of it */
  function moveWhileLocked(
    mode: MigrateMode,
    steps: number,
  ): { migrated: number; errno: string | undefined } {
    const { kernel, vm, spawn } = vmMachine();
    const process = spawn();
    withMemory(process, 1);
    write(process, 0, "x");
    const page = pageOf(process, 0);
    vm.lru.isolate(page);
    trylockPage(vm.memmap, page);
    const scheduler = new Scheduler(kernel, seededChoice(1));
    const target = migrationTarget(vm, ON_NODE_1);
    const mover = scheduler.spawn("mover", migratePages(vm, [page], target, mode, MigrateReason.Syscall));
    scheduler.spawn(
      "holder",
      (function* () {
        for (let i = 0; i < steps; i++) yield condResched;
        unlockPage(vm.memmap, page);
      })(),
    );
    scheduler.runAll(() => {});
    if (mover.state.kind !== "done") throw new Error("the move has not ended");
    const { migrated, failed } = mover.state.value;
    return { migrated, errno: failed[0]?.errno };
  }

  test("is waited for by a synchronous migration", () => {
    expect(moveWhileLocked(MigrateMode.Sync, 50)).toEqual({ migrated: 1, errno: undefined });
    expect(moveWhileLocked(MigrateMode.SyncLight, 50)).toEqual({ migrated: 1, errno: undefined });
  });

  test("is given up by an asynchronous one, which never waits", () => {
    expect(moveWhileLocked(MigrateMode.Async, 50)).toEqual({ migrated: 0, errno: "EAGAIN" });
  });
});

test("pages go to the allowed nodes only, the nearest of them first", () => {
  const { vm, spawn } = vmMachine({ nodes: [64 * MiB, 64 * MiB, 64 * MiB] });
  const process = spawn();
  withMemory(process, 1);
  write(process, 0, "x");
  const page = pageOf(process, 0);
  const { nodes } = vm.memory;
  const [, one, two] = nodes.map((node) => node?.id);
  if (one === undefined || two === undefined) throw new Error("no such node");
  const gfp = GFP_HIGHUSER_MOVABLE;
  const target = migrationTarget(vm, { node: two, allowed: [one, two], gfp });
  expect(vm.memmap.nodeOf(target.tryAlloc(page))).toBe(two);
  const none = migrationTarget(vm, { allowed: [], gfp });
  expect(none.tryAlloc(page)).toBe(NULL_PAGE);
});
