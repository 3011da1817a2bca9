// Blocks that hold pages of processes go offline: the pages move and the processes read what they wrote. Or something
// stays, the block stays online, and who asked is told what and whose.
import { unpinUserPages } from "@hetmem/gup";
import { hugetlbPool } from "@hetmem/hugetlb";
import { MiB, nodeId, type Page, run } from "@hetmem/kernel";
import { exitProcess, forkProcess, MapFlag, mmap, Prot } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { createDiskFile, fileRead, fileVmOps, fileWrite, OpenFile } from "@hetmem/page-cache";
import { hotplugVmMachine, type HotplugVmMachine, refusal } from "@hetmem/test-machines/hotplug-vm-machine";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import { check, fill, map, nodesOf, pageBehind } from "@hetmem/test-machines/placed-memory";
import { mmOf, pageAt } from "@hetmem/test-machines/vm-machine";
import { Gfp, GFP_HIGHUSER_MOVABLE, VmEvent } from "@hetmem/zone";
import { expect, test } from "vitest";

const PAGES = 64;

/** A machine with a movable block on node 0, and a process whose pages are all in it. */
function busyBlock(machine: HotplugVmMachine = hotplugVmMachine()) {
  const id = machine.plug(0);
  const process = machine.spawn("qemu-system-x86");
  const start = map(process, PAGES);
  fill(process, start, PAGES);
  expect(machine.inBlock(id, pageBehind(process, start))).toBe(true);
  return { machine, id, process, start };
}

test("a block with pages of a process goes offline, and the process reads what it wrote", () => {
  const { machine, id, process, start } = busyBlock();
  machine.offline(id);
  expect(machine.hotplug.block(id).state).toBe("offline");
  for (let i = 0; i < PAGES; i++)
    expect(machine.inBlock(id, pageBehind(process, pageAt(start, i)))).toBe(false);
  check(process, start, PAGES);
  expect(machine.memory.allocator.events[VmEvent.pgmigrate_success]).toBe(PAGES);
});

test("the pages go to another node when there is one, and stay on theirs when there is none", () => {
  const two = hotplugVmMachine({
    nodes: [
      { size: 32 * MiB, cpus: [0] },
      { size: 32 * MiB, cpus: [1] },
    ],
  });
  const away = busyBlock(two);
  two.offline(away.id);
  expect(new Set(nodesOf(away.process, away.start, PAGES))).toEqual(new Set([1]));
  const near = busyBlock();
  near.machine.offline(near.id);
  expect(new Set(nodesOf(near.process, near.start, PAGES))).toEqual(new Set([0]));
});

test("pages that a parent shares with its children move once, for all of them", () => {
  const { machine, id, process, start } = busyBlock();
  const child = run(forkProcess(process));
  const grandchild = run(forkProcess(child));
  machine.offline(id);
  for (const reader of [process, child, grandchild]) check(reader, start, PAGES, process);
  expect(pageBehind(grandchild, start)).toBe(pageBehind(process, start));
});

test("pages of a file move with what was written to them and not yet to the disk", () => {
  const machine = hotplugVmMachine();
  const id = machine.plug(0);
  const inode = createDiskFile(machine.vm, 7, new Uint8Array(4 * 4096).fill(1));
  const file = new OpenFile(inode, { path: "/data", writable: true, vmOps: fileVmOps });
  run(fileWrite(file, 4096, new Uint8Array(4096).fill(2)));
  const cached = inode.mapping.pages.load(1);
  expect(machine.inBlock(id, cached as Page)).toBe(true);
  machine.offline(id);
  const bytes = run(fileRead(file, 0, 4 * 4096));
  expect([bytes[0], bytes[4096], bytes[8191], bytes[8192]]).toEqual([1, 2, 2, 1]);
});

test("a pinned page keeps its block: EBUSY names the page, its counts and the process", () => {
  const { machine, id, process, start } = busyBlock();
  const [pinned] = run(pinUserPages(mmOf(process), pageAt(start, 5), 1, { write: true }));
  if (pinned === undefined) throw new Error("nothing was pinned");
  const frame = machine.memory.memmap.pageToPfn(pinned);
  const text = refusal(machine, id);
  expect(text).toMatch(/^EBUSY: /);
  expect(text).toContain(`page 0x${frame.toString(16)}`);
  expect(text).toContain(`, pinned by process ${process.pid} (qemu-system-x86)`);
  expect(machine.hotplug.block(id).state).toBe("online");
  check(process, start, PAGES);
  fill(process, start, PAGES);
});

test("once it is unpinned, the block goes offline", () => {
  const { machine, id, process, start } = busyBlock();
  const pages = run(pinUserPages(mmOf(process), start, 2, { write: true }));
  refusal(machine, id);
  unpinUserPages(machine.vm, pages);
  machine.offline(id);
  check(process, start, PAGES);
});

test("the log says which pages stayed, as the kernel's does", () => {
  const { machine, id, process, start } = busyBlock();
  const [pinned] = run(pinUserPages(mmOf(process), start, 1, { write: true }));
  const frame = machine.memory.memmap.pageToPfn(pinned ?? pageBehind(process, start)).toString(16);
  refusal(machine, id);
  const log = machine.kernel.log.format();
  expect(log).toContain(`migrating pfn ${frame} failed ret:1`);
  expect(log).toContain("page dumped because: migration failure");
});

test("a page that somebody has taken off its list can't be isolated, and the log names it", () => {
  const { machine, id, process, start } = busyBlock();
  const page = pageBehind(process, start);
  machine.vm.lru.isolate(page);
  const frame = machine.memory.memmap.pageToPfn(page).toString(16);
  expect(refusal(machine, id)).toContain(`process ${process.pid}`);
  expect(machine.kernel.log.format()).toContain(`failed to isolate pfn ${frame}`);
  machine.vm.lru.putback(page);
  machine.offline(id);
  check(process, start, PAGES);
});

test("a machine without room for the pages keeps the block online: ENOMEM in the log, EBUSY for who asked", () => {
  const { machine, id, process, start } = busyBlock();
  const { allocator, memmap } = machine.memory;
  const held = [];
  for (
    let page = allocator.allocPages(GFP_HIGHUSER_MOVABLE & ~Gfp.MOVABLE, 0, nodeId(0));
    page !== NULL_PAGE;
  ) {
    held.push(page);
    page = allocator.allocPages(GFP_HIGHUSER_MOVABLE & ~Gfp.MOVABLE, 0, nodeId(0));
  }
  expect(refusal(machine, id)).toMatch(/^EBUSY: memory32 .*page 0x[0-9a-f]+ .*by process/);
  expect(machine.kernel.log.format()).toContain("failed ret:-12");
  for (const page of held) memmap.putPage(page);
  machine.offline(id);
  check(process, start, PAGES);
});

test("nothing is lost or gained: after the last exit all pages are free again", () => {
  const machine = hotplugVmMachine();
  machine.offline(machine.plug(1));
  const { id, process } = busyBlock(machine);
  machine.offline(id);
  const before = machine.freePages();
  const resident = mmOf(process).rssPages + mmOf(process).pageTable.tables;
  run(exitProcess(process));
  expect(machine.freePages() - before).toBe(resident);
  expect(machine.vm.addressSpaces.size).toBe(0);
});

test("a block with a huge page of the pool in use stays online until it is free, and EBUSY says why", () => {
  const machine = hotplugVmMachine();
  const id = machine.plug(0, 0, "online_kernel");
  // More than boot memory has.
  run(hugetlbPool(machine.vm).resize(40));
  const process = machine.spawn();
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.HUGETLB | MapFlag.POPULATE;
  run(mmap(mmOf(process), { length: 80 * MiB, prot: Prot.READ | Prot.WRITE, flags }));
  expect(refusal(machine, id)).toMatch(/can't be moved: it is a huge page/);
  run(exitProcess(process));
  machine.offline(id);
  expect(machine.hotplug.block(id).state).toBe("offline");
});
