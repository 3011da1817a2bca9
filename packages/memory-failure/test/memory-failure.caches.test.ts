// Bad memory that is also somewhere else, or only there: in swap, in shared memory, locked in memory.
import { assertInvariants, MiB, type Page, run } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  MapFlag,
  mmap,
  type Process,
  Prot,
  readUser,
  Rss,
  trylockPage,
  unlockPage,
  VmFlag,
  vmInvariants,
} from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { cachePageSource, createDiskFile, fileVmOps, OpenFile } from "@hetmem/page-cache";
import { Pte } from "@hetmem/page-table";
import { addToSwap, readSwapCache, swapoff, swapSpace } from "@hetmem/reclaim";
import { hotplugVmMachine } from "@hetmem/test-machines/hotplug-vm-machine";
import { check, fill, map, pageBehind } from "@hetmem/test-machines/placed-memory";
import { mmOf, pageAt } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";

function machineWithSwap() {
  const machine = hotplugVmMachine();
  swapSpace(machine.vm).swapon({ path: "/dev/vda2", size: MiB });
  const process = machine.spawn("swapped");
  const start = map(process, 2);
  fill(process, start, 2);
  return { machine, process, start, frameOf: (page: Page) => machine.memory.memmap.pageToPfn(page) };
}

function codeAt(process: Process, address: ReturnType<typeof map>): string | undefined {
  return run(readUser(process, address, new Uint8Array(1)))?.code;
}

test("a page that swap doesn't have yet stays in the swap cache, and who swaps it in hears that it is bad", () => {
  const { machine, process, start, frameOf } = machineWithSwap();
  const { memmap } = machine.vm;
  const page = pageBehind(process, start);
  trylockPage(memmap, page);
  expect(addToSwap(machine.vm, page)).toBe(true);
  unlockPage(memmap, page);
  run(machine.failure.hardOffline(frameOf(page)));
  const log = machine.kernel.log.format();
  expect(log).toContain("keeping poisoned page in swap cache");
  expect(log).toContain("recovery action for dirty swapcache page: Delayed");
  expect(mmOf(process).rss[Rss.swapEntries]).toBe(1);
  expect(codeAt(process, start)).toBe("BUS_MCEERR_AR");
});

test("a bad page of the swap cache gives its slot back to swapoff, and stays lost", () => {
  const { machine, process, start, frameOf } = machineWithSwap();
  const { memmap } = machine.vm;
  const page = pageBehind(process, start);
  trylockPage(memmap, page);
  addToSwap(machine.vm, page);
  unlockPage(memmap, page);
  run(machine.failure.hardOffline(frameOf(page)));
  run(swapoff(machine.vm, "/dev/vda2"));
  expect(mmOf(process).rss[Rss.swapEntries]).toBe(0);
  expect(codeAt(process, start)).toBe("BUS_ADRERR");
  expect(codeAt(process, pageAt(start, 1))).toBeUndefined();
  run(exitProcess(process));
});

test("shared memory whose page swap could not give back knows that it is lost: SIGBUS, and its slot is free", () => {
  const { machine, process } = machineWithSwap();
  const { lru, memmap } = machine.vm;
  const swap = swapSpace(machine.vm);
  const start = map(process, 1, MapFlag.SHARED);
  fill(process, start, 1);
  const page = pageBehind(process, start);
  const { pageTable } = mmOf(process);
  pageTable.setFlags(pageTable.find(start), pageTable.flags(pageTable.find(start)) & ~Pte.accessed);
  memmap.clear(page, PageFlag.referenced);
  lru.isolate(page);
  run(machine.vm.reclaim.reclaimPages([page]));
  const device = swap.device(0);
  const cached = run(readSwapCache(swap, 0, device.nextInUse(1), cachePageSource(machine.vm, undefined)));
  memmap.clear(cached, PageFlag.uptodate);
  expect([codeAt(process, start), device.used]).toEqual(["BUS_ADRERR", 0]);
  memmap.putPage(cached);
  expect(codeAt(process, start)).toBe("BUS_ADRERR");
  run(swapoff(machine.vm, "/dev/vda2"));
  assertInvariants(machine.vm, vmInvariants);
  run(exitProcess(process));
});

test("a page that swap has too is dropped, and read from there again", () => {
  const { machine, process, start, frameOf } = machineWithSwap();
  const { memmap } = machine.vm;
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(start);
  const written = pageBehind(process, start);
  pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.accessed);
  memmap.clear(written, PageFlag.referenced);
  machine.vm.lru.isolate(written);
  expect(run(machine.vm.reclaim.reclaimPages([written]))).toBe(1);
  expect(codeAt(process, start)).toBeUndefined();
  const page = pageBehind(process, start);
  expect(memmap.test(page, PageFlag.swapcache)).toBe(true);
  run(machine.failure.hardOffline(frameOf(page)));
  expect(machine.kernel.log.format()).toContain("recovery action for clean swapcache page: Recovered");
  check(process, start, 2);
  expect(pageBehind(process, start)).not.toBe(page);
});

test("shared memory keeps its bad page: who maps it and who comes later hear of it, and nobody reads zeros", () => {
  const machine = hotplugVmMachine();
  const process = machine.spawn("sharer");
  const start = map(process, 2, MapFlag.SHARED);
  fill(process, start, 2);
  const child = run(forkProcess(process));
  child.mceKillEarly = true;
  run(machine.failure.hardOffline(machine.memory.memmap.pageToPfn(pageBehind(process, start))));
  expect(child.signals).toMatchObject([{ code: "BUS_MCEERR_AO", address: start }]);
  const late = run(forkProcess(process));
  expect([codeAt(process, start), codeAt(late, start)]).toEqual(["BUS_MCEERR_AR", "BUS_MCEERR_AR"]);
  expect(codeAt(late, pageAt(start, 1))).toBeUndefined();
  for (const ending of [process, child, late]) run(exitProcess(ending));
  expect(machine.vm.addressSpaces.size).toBe(0);
});

test("memory that is locked is no exception: a clean page of a file goes, and comes back good", () => {
  const machine = hotplugVmMachine();
  const process = machine.spawn("locker");
  const inode = createDiskFile(machine.vm, 7, new Uint8Array(4096).fill(5));
  const file = new OpenFile(inode, { path: "/data", writable: false, vmOps: fileVmOps });
  const start = run(mmap(mmOf(process), { length: 4096, prot: Prot.READ, flags: MapFlag.SHARED, file }));
  expect(codeAt(process, start)).toBeUndefined();
  const vma = mmOf(process).vmas.at(start);
  if (vma) vma.flags |= VmFlag.LOCKED;
  const page = pageBehind(process, start);
  run(machine.failure.hardOffline(machine.memory.memmap.pageToPfn(page)));
  expect(process.signals).toEqual([]);
  const into = new Uint8Array(1);
  expect([run(readUser(process, start, into)), into[0]]).toEqual([undefined, 5]);
  expect(pageBehind(process, start)).not.toBe(page);
});
