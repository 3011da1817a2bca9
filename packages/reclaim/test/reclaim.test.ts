import { assertInvariants, MiB, nodeId, type Page, type VirtAddr } from "@hetmem/kernel";
import { Madv, MapFlag, mlock, type Process, Prot, Rss, vmInvariants } from "@hetmem/mm";
import { endWriteback, startWriteback } from "@hetmem/mm/file";
import { madvise } from "@hetmem/madvise";
import { LruList } from "@hetmem/mm/lru";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { fileRead, fileWrite } from "@hetmem/page-cache";
import { EntryKind, entryKind, Pte } from "@hetmem/page-table";
import { diskFile, map as mapFile, read as readFile, write as writeFile } from "@hetmem/test-machines/files";
import { hotplugVmMachine } from "@hetmem/test-machines/hotplug-vm-machine";
import { check, fill, map, nodesOf } from "@hetmem/test-machines/placed-memory";
import { type ShortMachine, shortMachine } from "@hetmem/test-machines/short-machine";
import { mmOf, PAGE } from "@hetmem/test-machines/vm-machine";
import { Gfp, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_NOWAIT, NodeStat, VmEvent } from "@hetmem/zone";
import { expect, test } from "vitest";
import { reclaimOf } from "../src/reclaim.ts";
import { swapSpace } from "../src/swap/swap-space.ts";

function pageOf(process: Process, address: VirtAddr): Page {
  const { pageTable } = mmOf(process);
  return pageTable.value(pageTable.find(address)) as Page;
}

function isSwapped(process: Process, address: VirtAddr): boolean {
  const { pageTable } = mmOf(process);
  return entryKind(pageTable.flags(pageTable.find(address))) === EntryKind.swap;
}

/** Forgets that a page was used. */
function age({ vm }: ShortMachine, process: Process, address: VirtAddr): void {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(address);
  pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.accessed);
  vm.memmap.clear(pageTable.value(entry) as Page, PageFlag.referenced);
}

function isolated({ vm }: ShortMachine, page: Page): Page[] {
  if (!vm.lru.isolate(page)) throw new Error(`page ${page} is on no list`);
  return [page];
}

test("more memory than there is can be written when there is swap, and all of it holds", () => {
  const machine = shortMachine({ swap: 32 * MiB });
  const process = machine.spawn();
  const start = machine.map(process, 6000);
  expect(machine.fill(process, start, 6000)).toBeUndefined();
  expect(machine.event("oom_kill")).toBe(0);
  expect(machine.event("allocstall_movable") + machine.event("allocstall_normal")).toBeGreaterThan(0);
  expect(machine.event("pgsteal_direct")).toBeGreaterThan(2000);
  expect(machine.event("pgsteal_anon")).toBe(machine.event("pgsteal_direct"));
  expect(machine.event("pgscan_direct")).toBeGreaterThanOrEqual(machine.event("pgsteal_direct"));
  expect(machine.stat(NodeStat.nr_isolated_anon)).toBe(0);
  assertInvariants(machine.vm, vmInvariants);
  expect(machine.damaged(process, start, 6000)).toEqual([]);
  assertInvariants(machine.vm, vmInvariants);
});

test("a page under writeback is activated, and marked to be reclaimed when its writeback ends", () => {
  const machine = shortMachine();
  const { vm } = machine;
  const { file, inode } = diskFile(vm, 1);
  machine.run(fileRead(file, 0, 1));
  const page = inode.mapping.pages.load(0) as Page;
  startWriteback(vm, page);
  expect(machine.run(vm.reclaim.reclaimPages(isolated(machine, page)))).toBe(0);
  const marks = PageFlag.active | PageFlag.reclaim;
  expect(vm.memmap.flags(page) & marks).toBe(marks);
  endWriteback(vm, page);
});

test.each([
  ["of a program's file is activated", true, PageFlag.active],
  ["of anonymous memory stays inactive", false, 0],
])("an executable page %s by its first access", (_what, ofFile, active) => {
  const machine = shortMachine({ swap: 16 * MiB });
  const { vm } = machine;
  const process = machine.spawn();
  const prot = Prot.READ | Prot.EXEC;
  const file = ofFile ? diskFile(vm, 1).file : undefined;
  const start = mapFile(process, file, 1, MapFlag.PRIVATE, ofFile ? prot : prot | Prot.WRITE);
  if (ofFile) readFile(process, start, 1);
  else writeFile(process, start, "code");
  const page = pageOf(process, start);
  vm.memmap.clear(page, PageFlag.referenced | PageFlag.active);
  machine.run(vm.reclaim.reclaimPages(isolated(machine, page)));
  expect(vm.memmap.flags(page) & (PageFlag.lru | PageFlag.active)).toBe(PageFlag.lru | active);
});

test("clean pages of files go before anything is swapped", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const { vm } = machine;
  const { file } = diskFile(vm, 1500);
  for (let i = 0; i < 1500; i++) machine.run(fileRead(file, i * PAGE, 1));
  const process = machine.spawn();
  machine.fill(process, machine.map(process, 2800), 2800);
  expect(machine.event("pgsteal_file")).toBeGreaterThan(300);
  expect(machine.event("pswpout")).toBeLessThan(machine.event("pgsteal_file") / 4);
  const again = machine.run(fileRead(file, 700 * PAGE, 8));
  expect(new TextDecoder().decode(again)).toBe("page 700");
});

test("dirty pages of files are written to their disk, and then freed", () => {
  const machine = shortMachine();
  const { vm } = machine;
  const { file } = diskFile(vm, 1200);
  for (let i = 0; i < 1200; i++)
    machine.run(fileWrite(file, i * PAGE, new TextEncoder().encode(`new ${i}!`)));
  const process = machine.spawn();
  expect(machine.fill(process, machine.map(process, 3200), 3200)).toBeUndefined();
  expect(machine.event("pgsteal_file")).toBeGreaterThan(300);
  const read = machine.run(fileRead(file, 5 * PAGE, 6));
  expect(new TextDecoder().decode(read)).toBe("new 5!");
  expect(machine.event("oom_kill")).toBe(0);
});

test("a page that was used since the last look gets another turn, and is active after a second use", () => {
  const machine = shortMachine({ swap: MiB });
  const { vm } = machine;
  const process = machine.spawn();
  const start = machine.map(process, 1);
  machine.fill(process, start, 1);
  const page = pageOf(process, start);
  machine.run(vm.reclaim.reclaimPages(isolated(machine, page)));
  expect(isSwapped(process, start)).toBe(false);
  expect(vm.lru.listOf(page)).toBe(LruList.inactiveAnon);
  machine.fill(process, start, 1);
  machine.run(vm.reclaim.reclaimPages(isolated(machine, page)));
  expect(vm.lru.listOf(page)).toBe(LruList.activeAnon);
  expect(machine.event("pgactivate")).toBe(1);
});

test("a page that nobody used since is swapped", () => {
  const machine = shortMachine({ swap: MiB });
  const process = machine.spawn();
  const start = machine.map(process, 1);
  machine.fill(process, start, 1);
  age(machine, process, start);
  expect(machine.run(machine.vm.reclaim.reclaimPages(isolated(machine, pageOf(process, start))))).toBe(1);
  expect(isSwapped(process, start)).toBe(true);
});

test("locked memory stays in memory", () => {
  const machine = shortMachine({ swap: 16 * MiB, tunables: { overcommitMemory: 1 } });
  const keeper = machine.spawn("keeper");
  const start = machine.map(keeper, 500);
  machine.fill(keeper, start, 500);
  machine.run(mlock(mmOf(keeper), start, 500 * PAGE));
  const hog = machine.spawn("hog");
  machine.fill(hog, machine.map(hog, 5000), 5000);
  expect(mmOf(keeper).rss[Rss.anon]).toBe(500);
  expect(mmOf(hog).rss[Rss.swapEntries]).toBeGreaterThan(1000);
});

test("a pinned page is not swapped", () => {
  const machine = shortMachine({ swap: MiB });
  const { vm } = machine;
  const process = machine.spawn();
  const start = machine.map(process, 1);
  machine.fill(process, start, 1);
  age(machine, process, start);
  const page = pageOf(process, start);
  vm.memmap.setRefcount(page, vm.memmap.refcount(page) + 1024);
  expect(machine.run(vm.reclaim.reclaimPages(isolated(machine, page)))).toBe(0);
  expect([isSwapped(process, start), machine.device?.used]).toEqual([false, 0]);
});

test("memory that is to be freed lazily is dropped without being written anywhere", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const process = machine.spawn();
  const start = machine.map(process, 1000);
  machine.fill(process, start, 1000);
  machine.run(madvise(mmOf(process), start, 1000 * PAGE, Madv.FREE));
  const hog = machine.spawn("hog");
  machine.fill(hog, machine.map(hog, 3000), 3000);
  expect(machine.event("pglazyfreed")).toBeGreaterThan(300);
  expect(machine.event("pswpout")).toBe(0);
  expect(mmOf(process).rss[Rss.swapEntries]).toBe(0);
  expect(machine.stat(NodeStat.nr_isolated_file)).toBe(0);
});

test("what is written again after MADV_FREE is kept", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const process = machine.spawn();
  const start = machine.map(process, 1000);
  machine.fill(process, start, 1000);
  machine.run(madvise(mmOf(process), start, 1000 * PAGE, Madv.FREE));
  machine.fill(process, start, 1000, 2);
  const hog = machine.spawn("hog");
  machine.fill(hog, machine.map(hog, 4000), 4000);
  expect(machine.damaged(process, start, 1000, 2)).toEqual([]);
  expect([machine.stat(NodeStat.nr_isolated_file), machine.stat(NodeStat.nr_isolated_anon)]).toEqual([0, 0]);
});

test("MADV_PAGEOUT swaps a range now, and it is read back as it was", () => {
  const machine = shortMachine({ swap: MiB });
  const process = machine.spawn();
  const start = machine.map(process, 64);
  machine.fill(process, start, 64);
  machine.run(madvise(mmOf(process), start, 64 * PAGE, Madv.PAGEOUT));
  expect([...mmOf(process).rss]).toEqual([0, 0, 64, 0]);
  expect(machine.damaged(process, start, 64)).toEqual([]);
});

test("without swap nobody looks at anonymous pages", () => {
  const machine = shortMachine();
  const { file } = diskFile(machine.vm, 1500);
  for (let i = 0; i < 1500; i++) machine.run(fileRead(file, i * PAGE, 1));
  const process = machine.spawn();
  machine.fill(process, machine.map(process, 2900), 2900);
  expect(machine.event("pgscan_anon")).toBe(0);
  expect(machine.event("pgscan_file")).toBeGreaterThan(0);
});

test("swappiness 0 spares anonymous pages while there are others", () => {
  const machine = shortMachine({ swap: 16 * MiB, tunables: { overcommitMemory: 1, swappiness: 0 } });
  const { file } = diskFile(machine.vm, 1500);
  for (let i = 0; i < 1500; i++) machine.run(fileRead(file, i * PAGE, 1));
  const process = machine.spawn();
  machine.fill(process, machine.map(process, 2900), 2900);
  expect(machine.event("pgsteal_anon")).toBe(0);
});

test("a request that can't wait fails without reclaim, and wakes kswapd", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  const { vm, run } = machine;
  const process = machine.spawn();
  machine.fill(process, machine.map(process, 5000), 5000);
  while (machine.memory.allocator.allocPages(GFP_NOWAIT, 0, nodeId(0)) !== NULL_PAGE);
  const stalls = machine.event("allocstall_normal");
  expect(run(vm.reclaim.allocSlowly(GFP_NOWAIT, 0, nodeId(0), undefined))).toBe(NULL_PAGE);
  expect(machine.event("allocstall_normal")).toBe(stalls);
  expect(reclaimOf(vm).node(nodeId(0)).asked).toBe(true);
  expect(machine.log()).toContain("page allocation failure: order:0, mode:0x800(GFP_NOWAIT)");
});

test("a request that must not retry gives up after one round of reclaim, and kills nobody", () => {
  const machine = shortMachine();
  const { vm, run } = machine;
  const process = machine.spawn();
  machine.fill(process, machine.map(process, 2500), 2500);
  while (machine.memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, nodeId(0)) !== NULL_PAGE);
  const gfp = GFP_HIGHUSER_MOVABLE | Gfp.NORETRY | Gfp.NOWARN;
  expect(run(vm.reclaim.allocSlowly(gfp, 0, nodeId(0), undefined))).toBe(NULL_PAGE);
  const mayFail = GFP_HIGHUSER_MOVABLE | Gfp.RETRY_MAYFAIL | Gfp.NOWARN;
  expect(run(vm.reclaim.allocSlowly(mayFail, 0, nodeId(0), undefined))).toBe(NULL_PAGE);
  expect([process.killed, machine.event("oom_kill")]).toEqual([false, 0]);
});

test("a request for one node is not served from another, and nobody is killed for it", () => {
  const machine = shortMachine({ nodes: [16 * MiB, 16 * MiB] });
  const { vm, run } = machine;
  const gfp = GFP_HIGHUSER_MOVABLE | Gfp.THISNODE | Gfp.NOWARN;
  while (machine.memory.allocator.allocPages(gfp, 0, nodeId(0)) !== NULL_PAGE);
  const process = machine.spawn("test", 1);
  machine.fill(process, machine.map(process, 100), 100);
  expect(run(vm.reclaim.allocSlowly(gfp, 0, nodeId(0), mmOf(process)))).toBe(NULL_PAGE);
  expect(process.killed).toBe(false);
});

test("a request bound to some nodes kills for them, and says so", () => {
  const machine = shortMachine({ nodes: [16 * MiB, 16 * MiB] });
  const { vm, run } = machine;
  const process = machine.spawn("bound", 0);
  machine.fill(process, machine.map(process, 1000), 1000);
  while (machine.memory.allocator.allocPages(GFP_KERNEL | Gfp.THISNODE, 0, nodeId(0)) !== NULL_PAGE);
  const other = machine.spawn("asks", 1);
  const page = run(vm.reclaim.allocSlowly(GFP_HIGHUSER_MOVABLE, 0, nodeId(0), mmOf(other), [nodeId(0)]));
  expect(vm.memmap.nodeOf(page)).toBe(0);
  expect(process.killed).toBe(true);
  expect(machine.log()).toContain("oom-kill:constraint=CONSTRAINT_MEMORY_POLICY");
});

test("an allocation that is told to fail neither reclaims nor kills", () => {
  const machine = shortMachine({ swap: MiB });
  const { vm, kernel, run } = machine;
  const process = machine.spawn();
  machine.fill(process, machine.map(process, 100), 100);
  kernel.faults.point("fail_page_alloc").arm({ probability: 100 });
  expect(run(vm.pages.alloc(GFP_HIGHUSER_MOVABLE, 0, nodeId(0), mmOf(process)))).toBe(NULL_PAGE);
  expect([machine.event("pgscan_direct"), machine.event("oom_kill")]).toEqual([0, 0]);
});

test("a process whose faults are refused for ever is killed rather than to fault for ever", () => {
  const machine = shortMachine();
  const process = machine.spawn();
  const start = machine.map(process, 1);
  machine.kernel.faults.point("fail_page_alloc").arm({ probability: 100 });
  expect(machine.fill(process, start, 1)).toMatchObject({ signo: "SIGKILL" });
});

test("cold memory goes to a slower node before it goes to swap", () => {
  const machine = hotplugVmMachine({
    nodes: [
      { size: 16 * MiB, cpus: [0] },
      { size: 16 * MiB, cpus: [] },
    ],
    tunables: { overcommitMemory: 1, demotionEnabled: true },
  });
  const { vm, run } = machine;
  swapSpace(vm).swapon({ path: "/dev/sdb1", size: 16 * MiB });
  const process = machine.spawn("cold", 0);
  const start = map(process, 2000);
  fill(process, start, 2000);
  const gfp = GFP_HIGHUSER_MOVABLE | Gfp.THISNODE;
  for (let i = 0; i < 2500; i++) run(vm.pages.alloc(gfp, 0, nodeId(0), undefined));
  const { events } = vm.memory.allocator;
  expect(events[VmEvent.pgdemote_direct]).toBeGreaterThan(300);
  expect(events[VmEvent.pswpout]).toBe(0);
  expect(nodesOf(process, start, 2000).filter((node) => node === 1).length).toBeGreaterThan(300);
  check(process, start, 2000);
});
