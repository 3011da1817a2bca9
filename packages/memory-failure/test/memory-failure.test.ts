// Bad memory that processes use: who is told, what is lost, and what only moves.
import { outcome } from "@hetmem/test-machines/outcome";
import { type Page, type Pfn, run, virtAddr } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  MapFlag,
  mmap,
  type Process,
  Prot,
  readUser,
  type Signal,
  writeUser,
} from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { createDiskFile, fileRead, fileVmOps, fileWrite, fsyncRange, OpenFile } from "@hetmem/page-cache";
import {
  hotplugVmMachine,
  type HotplugVmMachine,
  type HotplugVmMachineOptions,
} from "@hetmem/test-machines/hotplug-vm-machine";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import { check, fill, map, outcomeOf, pageBehind } from "@hetmem/test-machines/placed-memory";
import { mmOf, pageAt } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { unpoisonMemory } from "../src/unpoison.ts";

const BYTES = new Uint8Array(3 * 4096).map((_, i) => Math.floor(i / 4096) + 1);

/** A process with four written pages; its second one is going to fail. */
function filled(options: HotplugVmMachineOptions = {}) {
  const machine = hotplugVmMachine(options);
  const process = machine.spawn("victim");
  const start = map(process, 4);
  fill(process, start, 4);
  const bad = pageAt(start, 1);
  return { machine, process, start, bad, ...framed(machine, pageBehind(process, bad)) };
}

function framed({ memory }: HotplugVmMachine, page: Page): { page: Page; frame: Pfn } {
  return { page, frame: memory.memmap.pageToPfn(page) };
}

/** A process that maps a file of three pages and has read them all. */
function mappedFile(prot: number = Prot.READ, flags: number = MapFlag.SHARED) {
  const machine = hotplugVmMachine();
  const process = machine.spawn("reader");
  const inode = createDiskFile(machine.vm, 7, BYTES);
  const file = new OpenFile(inode, { path: "/data", writable: true, vmOps: fileVmOps });
  const start = run(mmap(mmOf(process), { length: BYTES.length, prot, flags, file }));
  run(readUser(process, start, new Uint8Array(BYTES.length)));
  return { machine, process, inode, file, start, ...framed(machine, pageBehind(process, pageAt(start, 1))) };
}

function read(process: Process, address: Parameters<typeof readUser>[1]): Signal | number | undefined {
  const into = new Uint8Array(1);
  return run(readUser(process, address, into)) ?? into[0];
}

test("who touches bad memory later gets SIGBUS with BUS_MCEERR_AR and its address; the rest stays readable", () => {
  const { machine, process, start, bad, frame } = filled();
  run(machine.failure.hardOffline(frame));
  expect(process.signals).toEqual([]);
  expect(read(process, bad)).toMatchObject({ signo: "SIGBUS", code: "BUS_MCEERR_AR", address: bad });
  check(process, start, 1);
  expect(machine.memory.counters.poisonedPages).toBe(1);
});

test("a process that is killed for touching bad memory is named in the log, with the byte that it touched", () => {
  const { machine, process, bad, frame } = filled();
  run(machine.failure.hardOffline(frame));
  read(process, virtAddr(bad + 5));
  const { pid, comm } = process;
  expect(machine.vm.kernel.log.records.at(-1)).toMatchObject({
    level: 3,
    text: `MCE: Killing ${comm}:${pid} due to hardware memory corruption fault at ${(bad + 5).toString(16)}`,
  });
});

test("who asked to hear early gets BUS_MCEERR_AO at once, with the page's address", () => {
  const { machine, process, bad, frame } = filled();
  process.mceKillEarly = true;
  const child = run(forkProcess(process));
  child.mceKillEarly = false;
  run(machine.failure.hardOffline(frame));
  expect(process.signals).toMatchObject([{ signo: "SIGBUS", code: "BUS_MCEERR_AO", address: bad }]);
  expect(child.signals).toEqual([]);
  expect(read(child, bad)).toMatchObject({ code: "BUS_MCEERR_AR" });
});

test("the administrator may have everybody hear early", () => {
  const { machine, process, frame } = filled({ tunables: { memoryFailureEarlyKill: true } });
  const child = run(forkProcess(process));
  run(machine.failure.hardOffline(frame));
  expect([process, child].map(({ signals }) => signals.map(({ code }) => code))).toEqual([
    ["BUS_MCEERR_AO"],
    ["BUS_MCEERR_AO"],
  ]);
});

test("who was just reading the page must act now; another that maps it may go on", () => {
  const { machine, process, bad, frame } = filled();
  const child = run(forkProcess(process));
  run(machine.poisoned.machineCheck(machine.failure, process, bad, frame));
  expect(process.signals).toMatchObject([{ code: "BUS_MCEERR_AR", address: bad }]);
  expect(child.signals).toEqual([]);
});

test("a second reader of a page that is known to be bad is told, too, and the failure is EHWPOISON", () => {
  const { machine, process, bad, frame } = filled();
  run(machine.failure.hardOffline(frame));
  const task = () => machine.poisoned.machineCheck(machine.failure, process, bad, frame);
  expect(outcomeOf(task)).toBe("EHWPOISON");
  expect(process.signals).toMatchObject([{ code: "BUS_MCEERR_AR", address: bad }]);
});

test("a process that never touches its bad page never notices, and its exit frees all but that page", () => {
  const { machine, process, frame, page } = filled();
  const { memmap } = machine.memory;
  run(machine.failure.hardOffline(frame));
  run(exitProcess(process));
  expect(machine.vm.addressSpaces.size).toBe(0);
  expect([memmap.mapcount(page), memmap.refcount(page)]).toEqual([0, 1]);
  expect(memmap.test(page, PageFlag.lru)).toBe(false);
});

test("the log says whom it concerns and how it went", () => {
  const { machine, process, frame } = filled();
  process.mceKillEarly = true;
  run(machine.failure.hardOffline(frame));
  const log = machine.kernel.log.format();
  const hex = `Memory failure: 0x${frame.toString(16)}:`;
  expect(log).toContain(`${hex} Sending SIGBUS to victim:${process.pid} due to hardware memory corruption`);
  expect(log).toContain(`${hex} recovery action for dirty LRU page: Recovered`);
});

test("a clean page of a file is dropped without a word, and read from the disk again", () => {
  const { machine, process, inode, start, frame, page } = mappedFile();
  process.mceKillEarly = true;
  run(machine.failure.hardOffline(frame));
  expect(process.signals).toEqual([]);
  expect(read(process, pageAt(start, 1))).toBe(2);
  expect(inode.mapping.pages.load(1)).not.toBe(page);
  const log = machine.kernel.log.format();
  expect(log).toContain("corrupted page was clean: dropped without side effects");
  expect(log).toContain("recovery action for clean LRU page: Recovered");
});

test("a page of a file that was written through a mapping is lost: its writer is told, and fsync says EIO once", () => {
  const { machine, process, file, inode, start, frame } = mappedFile(Prot.READ | Prot.WRITE);
  process.mceKillEarly = true;
  run(writeUser(process, pageAt(start, 1), Uint8Array.of(99)));
  run(machine.failure.hardOffline(frame));
  expect(process.signals).toMatchObject([{ code: "BUS_MCEERR_AO", address: pageAt(start, 1) }]);
  expect(outcomeOf(() => fsyncRange(inode.mapping))).toBe("EIO");
  expect(outcomeOf(() => fsyncRange(inode.mapping))).toBe("done");
  expect(run(fileRead(file, 4096, 1))[0]).toBe(2);
});

test("a dirty page of a file that nobody maps is lost, too", () => {
  const machine = hotplugVmMachine();
  const inode = createDiskFile(machine.vm, 7, BYTES);
  const file = new OpenFile(inode, { path: "/data", writable: true, vmOps: fileVmOps });
  run(fileWrite(file, 0, Uint8Array.of(9)));
  run(machine.failure.hardOffline(machine.memory.memmap.pageToPfn(inode.mapping.pages.load(0) as Page)));
  expect(machine.kernel.log.format()).toContain("recovery action for dirty LRU page: Recovered");
  expect(outcomeOf(() => fsyncRange(inode.mapping))).toBe("EIO");
});

test("a page that somebody still holds when everybody is unmapped is a failure: EBUSY with its counts", () => {
  const { machine, process, file, start, frame } = mappedFile();
  run(pinUserPages(mmOf(process), pageAt(start, 1), 1, {}));
  expect(outcomeOf(() => machine.failure.hardOffline(frame))).toBe("EBUSY");
  expect(machine.kernel.log.format()).toContain("clean LRU page still referenced by 1024 users");
  expect(run(fileRead(file, 4096, 1))[0]).toBe(2);
});

test("a page that is off its list and stays so can't be dealt with: EBUSY", () => {
  const { machine, page, frame } = filled();
  machine.vm.lru.isolate(page);
  expect(outcomeOf(() => machine.failure.hardOffline(frame))).toBe("EBUSY");
  expect(machine.kernel.log.format()).toContain("recovery action for unknown page: Ignored");
});

test("a block goes offline although a page of it is bad that a process still has", () => {
  const machine = hotplugVmMachine();
  const id = machine.plug(0);
  const process = machine.spawn();
  const start = map(process, 4);
  fill(process, start, 4);
  const page = pageBehind(process, pageAt(start, 3));
  run(machine.failure.hardOffline(machine.memory.memmap.pageToPfn(page)));
  machine.offline(id);
  check(process, start, 3);
});

test("a page that is about to fail moves, nobody notices, and it is nobody's again", () => {
  const { machine, process, start, bad, page, frame } = filled();
  run(machine.failure.softOffline(frame));
  check(process, start, 4);
  expect(process.signals).toEqual([]);
  expect(pageBehind(process, bad)).not.toBe(page);
  expect(machine.memory.memmap.test(page, PageFlag.hwpoison)).toBe(true);
  expect(machine.memory.counters.poisonedPages).toBe(1);
});

test("a clean page of a file that nobody maps is dropped rather than moved", () => {
  const machine = hotplugVmMachine();
  const inode = createDiskFile(machine.vm, 7, BYTES);
  const file = new OpenFile(inode, { path: "/data", writable: false, vmOps: fileVmOps });
  run(fileRead(file, 0, 1));
  const { page, frame } = framed(machine, inode.mapping.pages.load(0) as Page);
  run(machine.failure.softOffline(frame));
  expect(machine.memory.memmap.test(page, PageFlag.hwpoison)).toBe(true);
  expect(machine.kernel.log.format()).toContain(`soft_offline: 0x${frame.toString(16)}: invalidated`);
  expect(run(fileRead(file, 0, 1))[0]).toBe(1);
});

test("a pinned page can't move: EBUSY, it isn't poisoned, and everybody goes on with it", () => {
  const { machine, process, start, page, frame } = filled();
  run(pinUserPages(mmOf(process), pageAt(start, 1), 1, { write: true }));
  expect(outcomeOf(() => machine.failure.softOffline(frame))).toBe("EBUSY");
  expect(machine.memory.memmap.test(page, PageFlag.hwpoison | PageFlag.isolated)).toBe(false);
  expect(machine.kernel.log.format()).toContain("page migration failed 1");
  check(process, start, 4);
});

test("a page table can't be given up: EIO", () => {
  const { machine, process } = filled();
  const table = mmOf(process).pageTable.pageOfTable(0);
  expect(outcomeOf(() => machine.failure.softOffline(machine.memory.memmap.pageToPfn(table)))).toBe("EIO");
});

test("a page that was called bad for a test is the allocator's again", () => {
  const { machine, process, page, frame } = filled();
  run(machine.failure.hardOffline(frame));
  expect(outcome(() => unpoisonMemory(machine.vm, frame))).toBe("done");
  expect(machine.memory.counters.poisonedPages).toBe(0);
  expect(machine.memory.memmap.refcount(page)).toBe(0);
  expect(outcome(() => unpoisonMemory(machine.vm, frame))).toBe("EBUSY");
  run(exitProcess(process));
});
