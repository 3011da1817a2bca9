// move_pages(2) and migrate_pages(2): single pages to given nodes, and whole processes from nodes to nodes.
import { errnoNumber, MiB, nodeId, run, virtAddr } from "@hetmem/kernel";
import { exitProcess, forkProcess, Madv, MapFlag, readUser } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { NULL_PAGE } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { diskFile, map as mapFile } from "@hetmem/test-machines/files";
import { check, fill, map, nodesOf, outcomeOf, pageBehind } from "@hetmem/test-machines/placed-memory";
import { mmOf, ORDINARY, PAGE, pageAt, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Gfp, GFP_HIGHUSER_MOVABLE, VmEvent } from "@hetmem/zone";
import { expect, test } from "vitest";
import { mbind } from "../src/mbind.ts";
import { migrateProcessPages, movePages, queryPages } from "../src/move-pages.ts";
import { MbindFlag } from "../src/queue-pages.ts";

const { MOVE, MOVE_ALL } = MbindFlag;
const [ENOENT, EFAULT, EACCES, EBUSY] = (["ENOENT", "EFAULT", "EACCES", "EBUSY"] as const).map(
  (errno) => -errnoNumber(errno),
);
const nodes = (...ids: number[]) => ids.map(nodeId);
const UNTOUCHED = 99;
const blank = (count: number): number[] => Array.from({ length: count }, () => UNTOUCHED);

test("a query tells the node of each page, and EFAULT for the zero page and where nothing was ever touched", () => {
  const process = vmMachine().spawn("asked", 1);
  const start = map(process, 3);
  fill(process, start, 1);
  run(readUser(process, pageAt(start, 1), new Uint8Array(1)));
  const addresses = [start, pageAt(start, 1), pageAt(start, 2), virtAddr(0x1000)];
  // The zero page, which a read of untouched memory finds, is nobody's.
  expect(run(queryPages(process, addresses))).toEqual([1, EFAULT, EFAULT, EFAULT]);
});

test("a query answers ENOENT for a page in swap, and where a file has one that isn't mapped yet", () => {
  const { vm, spawn } = vmMachine();
  swapSpace(vm).swapon({ path: "/dev/sdb", size: MiB });
  const process = spawn();
  const start = map(process, 1);
  fill(process, start, 1);
  run(madvise(mmOf(process), start, PAGE, Madv.PAGEOUT));
  const { file } = diskFile(vm, 1);
  const mapped = mapFile(process, file, 1, MapFlag.SHARED);
  const shared = map(process, 1, MapFlag.SHARED);
  expect(run(queryPages(process, [start, mapped, shared]))).toEqual([ENOENT, ENOENT, ENOENT]);
  const status = blank(1);
  expect(run(movePages(process, [start], nodes(1), status, MOVE))).toBe(0);
  expect(status).toEqual([ENOENT]);
});

test("a page with a NUMA hint is only found by a fault: ENOENT", () => {
  const process = vmMachine().spawn();
  const start = map(process, 1);
  fill(process, start, 1);
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(start);
  pageTable.setFlags(entry, pageTable.flags(entry) | Pte.protnone);
  expect(run(queryPages(process, [start]))).toEqual([ENOENT]);
});

test("MOVE_ALL is for CAP_SYS_NICE: EPERM; migrate_pages leaves what others map without it", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const start = map(process, 2);
  fill(process, start, 1);
  run(forkProcess(process));
  fill(process, pageAt(start, 1), 1);
  process.credentials = ORDINARY;
  expect(outcomeOf(() => movePages(process, [start], nodes(1), blank(1), MOVE_ALL))).toBe("EPERM");
  run(migrateProcessPages(machine.vm, process, nodes(0), nodes(1)));
  expect(nodesOf(process, start, 2)).toEqual([0, 1]);
});

test("pages go to their nodes with what is written in them, and each status is the node", () => {
  const process = vmMachine({ nodes: [32 * MiB, 32 * MiB, 32 * MiB] }).spawn();
  const start = map(process, 4);
  fill(process, start, 4);
  const status = blank(4);
  const addresses = [0, 1, 2, 3].map((i) => pageAt(start, i));
  expect(run(movePages(process, addresses, nodes(1, 1, 2, 0), status, MOVE))).toBe(0);
  expect(status).toEqual([1, 1, 2, 0]);
  expect(nodesOf(process, start, 4)).toEqual([1, 1, 2, 0]);
  check(process, start, 4);
});

test("a page that can't be moved has its errno for a status, and the others move", () => {
  const { spawn, vm } = vmMachine();
  const process = spawn();
  const start = map(process, 5);
  fill(process, start, 4);
  vm.lru.isolate(pageBehind(process, pageAt(start, 1)));
  const status = blank(5);
  const addresses = [start, pageAt(start, 1), pageAt(start, 4), virtAddr(0x1000), pageAt(start, 3)];
  expect(run(movePages(process, addresses, nodes(1, 1, 1, 1, 1), status, MOVE))).toBe(0);
  expect(status).toEqual([1, EBUSY, EFAULT, EFAULT, 1]);
  check(process, start, 4);
});

test("a page that others map is EACCES, unless all are to move", () => {
  const process = vmMachine().spawn();
  const start = map(process, 1);
  fill(process, start, 1);
  const child = run(forkProcess(process));
  const status = blank(1);
  expect(run(movePages(process, [start], nodes(1), status, MOVE))).toBe(0);
  expect(status).toEqual([EACCES]);
  run(movePages(process, [start], nodes(1), status, MOVE_ALL));
  expect([...status, ...nodesOf(child, start, 1)]).toEqual([1, 1]);
});

test("a pinned page ends it: it and those that were not tried are counted, and their statuses left alone", () => {
  const { spawn, vm } = vmMachine();
  const process = spawn();
  const start = map(process, 3);
  fill(process, start, 3);
  const pinned = pageBehind(process, pageAt(start, 1));
  vm.memmap.getPage(pinned);
  const status = blank(3);
  const addresses = [0, 1, 2].map((i) => pageAt(start, i));
  expect(run(movePages(process, addresses, nodes(1, 1, 1), status, MOVE))).toBe(1);
  expect(status).toEqual(blank(3));
  expect(nodesOf(process, start, 3)).toEqual([1, 0, 1]);
  expect(vm.memmap.refcount(pinned)).toBe(2);
  expect(vm.memory.allocator.events[VmEvent.pgmigrate_fail]).toBe(1);
});

test("a node without memory is ENODEV; pages before it have moved", () => {
  const process = vmMachine({ nodes: [32 * MiB, 32 * MiB, 0] }).spawn();
  const start = map(process, 2);
  fill(process, start, 2);
  const status = blank(2);
  const task = () => movePages(process, [start, pageAt(start, 1)], nodes(1, 2), status, MOVE);
  expect(outcomeOf(task)).toBe("ENODEV");
  expect(status).toEqual([1, UNTOUCHED]);
  expect(nodesOf(process, start, 2)).toEqual([1, 0]);
});

test("a node that is full is ENOMEM, and pages stay on their lists", () => {
  const { spawn, vm, memory } = vmMachine();
  const process = spawn();
  const start = map(process, 1);
  fill(process, start, 1);
  while (memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE | Gfp.THISNODE, 0, nodeId(1)) !== NULL_PAGE);
  expect(outcomeOf(() => movePages(process, [start], nodes(1), blank(1), MOVE))).toBe("ENOMEM");
  expect(vm.lru.isolate(pageBehind(process, start))).toBe(true);
});

test("flags other than MOVE and MOVE_ALL are EINVAL, and so is a process that has exited", () => {
  const process = vmMachine().spawn();
  expect(outcomeOf(() => movePages(process, [], [], [], MbindFlag.STRICT))).toBe("EINVAL");
  run(exitProcess(process));
  expect(outcomeOf(() => queryPages(process, []))).toBe("EINVAL");
});

test("an address space lives until its pages are looked at, though its process exits meanwhile", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const free = machine.freePages();
  const start = map(process, 2);
  fill(process, start, 2);
  const task = movePages(process, [start, pageAt(start, 1)], nodes(1, 1), blank(2), MOVE);
  task.next();
  run(exitProcess(process));
  run(task);
  expect(machine.vm.addressSpaces.size).toBe(0);
  expect(machine.freePages()).toBeGreaterThanOrEqual(free);
});

test("a process moves from its nodes to others, the first to the first, the second to the second", () => {
  const machine = vmMachine({ nodes: [32 * MiB, 32 * MiB, 32 * MiB] });
  const process = machine.spawn();
  const start = map(process, 4);
  run(mbind(mmOf(process), start, 8192, { mode: "bind", nodes: nodes(1) }, 0));
  fill(process, start, 4);
  run(movePages(process, [start, pageAt(start, 1)], nodes(1, 1), blank(2), MOVE));
  expect(nodesOf(process, start, 4)).toEqual([1, 1, 0, 0]);
  expect(run(migrateProcessPages(machine.vm, process, nodes(0, 1), nodes(1, 2)))).toBe(0);
  expect(nodesOf(process, start, 4)).toEqual([2, 2, 1, 1]);
  check(process, start, 4);
});

test("where fewer nodes are left than before, what is on one of them already stays", () => {
  const machine = vmMachine({ nodes: [32 * MiB, 32 * MiB, 32 * MiB] });
  const process = machine.spawn();
  const start = map(process, 3);
  fill(process, start, 3);
  run(movePages(process, [pageAt(start, 1), pageAt(start, 2)], nodes(1, 2), blank(2), MOVE));
  run(migrateProcessPages(machine.vm, process, nodes(0, 1, 2), nodes(1)));
  expect(nodesOf(process, start, 3)).toEqual([1, 1, 1]);
  check(process, start, 3);
});

test("nodes without memory can't be moved to: EINVAL", () => {
  const machine = vmMachine({ nodes: [32 * MiB, 0] });
  const process = machine.spawn();
  expect(outcomeOf(() => migrateProcessPages(machine.vm, process, nodes(0), nodes(1)))).toBe("EINVAL");
});
