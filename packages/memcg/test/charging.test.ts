// The cgroup that is charged for a page, from its first use to its last.
import { assertInvariants, MiB, nodeId, run, type VirtAddr } from "@hetmem/kernel";
import { MbindFlag, movePages } from "@hetmem/migrate";
import {
  exitProcess,
  forkProcess,
  Madv,
  MapFlag,
  mmap,
  mmput,
  type Process,
  Prot,
  readUser,
} from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import {
  createShmemInode,
  fileRead,
  fileWrite,
  memfdCreate,
  shmemFallocate,
  ShmemMount,
  truncate,
} from "@hetmem/page-cache";
import { afterEach, expect, test } from "vitest";
import { memcgInvariants } from "../src/invariants.ts";
import { chargeKernel, chargeSocket, unchargeKernel, unchargeSocket } from "../src/kernel-memory.ts";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import type { MemoryCgroups } from "../src/memory-cgroups.ts";
import { noRemedy } from "../src/over-limit.ts";
import { CHARGE_BATCH } from "../src/stock.ts";
import { type LimitsMachine, limitsMachine } from "@hetmem/test-machines/limits-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

let machine: LimitsMachine;

function cgroups(nodes: readonly number[] = [64 * MiB]): {
  memcgs: MemoryCgroups;
  a: MemoryCgroup;
  b: MemoryCgroup;
} {
  machine = limitsMachine({ nodes, swap: 8 * MiB });
  const { memcgs } = machine;
  return { memcgs, a: memcgs.create(memcgs.root, "a"), b: memcgs.create(memcgs.root, "b") };
}

/** Anonymous pages that a cgroup pays for. */
function anon({ memcgs }: LimitsMachine, cgroup: MemoryCgroup): number {
  return memcgs.stats.allNodes(cgroup, "nr_anon_pages");
}

/** Pages that it pays for but for what cpus have in stock. */
function charged({ memcgs }: LimitsMachine, cgroup: MemoryCgroup): number {
  memcgs.stocks.drainAll(cgroup);
  return cgroup.memory.usage;
}

function pageout(process: Process, start: VirtAddr, pages: number): void {
  run(madvise(mmOf(process), start, pages * PAGE, Madv.PAGEOUT));
}

afterEach(() => assertInvariants(machine.memcgs, memcgInvariants));

test("a process's pages and page tables are charged to its cgroup and to those above", () => {
  const { memcgs, a } = cgroups();
  const below = memcgs.create(a, "below");
  const process = machine.spawn(below);
  machine.fill(process, 10);
  expect(anon(machine, below)).toBe(10);
  const tables = memcgs.stats.allNodes(below, "nr_page_table_pages");
  expect(tables).toBeGreaterThan(0);
  expect([below.kmem.usage, memcgs.stats.cgroup(a, "kmem")]).toEqual([tables, tables]);
  expect([charged(machine, below), a.memory.usage, memcgs.root.memory.usage]).toEqual([
    10 + tables,
    10 + tables,
    10 + tables,
  ]);
  run(exitProcess(process));
  expect([charged(machine, a), a.kmem.usage]).toEqual([0, 0]);
});

test("charges stay where they were made when the task moves, and a child's are its parent's cgroup's", () => {
  const { memcgs, a, b } = cgroups();
  const process = machine.spawn(a);
  machine.fill(process, 5);
  memcgs.attach(mmOf(process), b);
  machine.fill(process, 3);
  expect([anon(machine, a), anon(machine, b)]).toEqual([5, 3]);
  const child = run(forkProcess(process));
  expect(memcgs.ofMm(mmOf(child))).toBe(b);
  machine.fill(child, 2);
  expect([anon(machine, a), anon(machine, b)]).toEqual([5, 5]);
});

test("a page that is swapped in is charged to whoever pays for its slot, not to whoever faults", () => {
  const { memcgs, a, b } = cgroups();
  const process = machine.spawn(a);
  const start = machine.map(process, 4);
  machine.touch(process, start, 4);
  pageout(process, start, 4);
  expect([anon(machine, a), a.swap.usage]).toEqual([0, 4]);
  memcgs.attach(mmOf(process), b);
  run(readUser(process, start, new Uint8Array(1)));
  expect([anon(machine, a), anon(machine, b)]).toEqual([1, 0]);
});

test("once the slot's cgroup is removed, whoever faults pays for the page, and the slot keeps the cgroup", () => {
  const { memcgs, a, b } = cgroups();
  const process = machine.spawn(a);
  const start = machine.map(process, 2);
  machine.touch(process, start, 2);
  pageout(process, start, 2);
  memcgs.attach(mmOf(process), b);
  memcgs.offline(a);
  expect([...memcgs.root.children()]).toContain(a);
  machine.touch(process, start, 2);
  expect(anon(machine, b)).toBe(2);
  expect(a.swap.usage).toBe(0);
  expect([...memcgs.root.children()]).not.toContain(a);
});

test("pages of files are charged to whoever brings them in, and to nobody a second time", () => {
  const { a, b } = cgroups();
  const [first, second] = [machine.spawn(a), machine.spawn(b)];
  const file = machine.file(8);
  machine.read(first, file, 0, 2);
  const read = machine.memcgs.stats.allNodes(a, "nr_file_pages");
  expect(read).toBeGreaterThanOrEqual(2);
  machine.read(second, file, 0, 2);
  expect(machine.memcgs.stats.allNodes(b, "nr_file_pages")).toBe(0);
  const memfd = memfdCreate(machine.vm, "m", 0);
  run(fileWrite(memfd, 0, new Uint8Array(3 * PAGE), second.mm));
  expect(machine.memcgs.stats.allNodes(b, "nr_shmem")).toBe(3);
});

test("fallocate and truncate of shmem charge the process that does them", () => {
  const { memcgs, a, b } = cgroups();
  const process = machine.spawn(a);
  const inode = createShmemInode(machine.vm, new ShmemMount({ major: 0, minor: 30 }));
  run(shmemFallocate(inode, 0, 4 * PAGE, mmOf(process)));
  expect(memcgs.stats.allNodes(a, "nr_shmem")).toBe(4);
  run(truncate(inode, 0, mmOf(process)));
  expect(memcgs.stats.allNodes(a, "nr_shmem")).toBe(0);
  // What has to be zeroed in part comes back from swap: the slot's cgroup is gone, so whoever truncates pays.
  const memfd = memfdCreate(machine.vm, "m", 0);
  run(fileWrite(memfd, 0, new Uint8Array(PAGE).fill(1), mmOf(process)));
  const [shared] = machine.vm.lru.lruvecsOfNode(nodeId(0)).filter((lruvec) => memcgs.ofLruvec(lruvec) === a);
  expect(shared).toBeDefined();
  run(machine.limits.reclaim(a, 1, undefined));
  expect(a.swap.usage).toBe(1);
  run(exitProcess(process));
  memcgs.offline(a);
  const other = machine.spawn(b);
  run(truncate(memfd.host, 10, mmOf(other)));
  expect(memcgs.stats.allNodes(b, "nr_shmem")).toBe(1);
});

test("what the kernel reads for itself is the root's", () => {
  const { memcgs } = cgroups();
  run(fileRead(machine.file(4), 0, PAGE));
  expect(memcgs.stats.allNodes(memcgs.root, "nr_file_pages")).toBeGreaterThan(0);
  expect(memcgs.root.memory.usage).toBe(0);
});

test("a page that moves to another node takes its charge and its counters along", () => {
  const { memcgs, a } = cgroups([32 * MiB, 32 * MiB]);
  const process = machine.spawn(a);
  const start = machine.map(process, 4);
  machine.touch(process, start, 4);
  const before = charged(machine, a);
  const addresses = [0, 1, 2, 3].map((i) => (start + i * PAGE) as typeof start);
  const to = addresses.map(() => nodeId(1));
  run(movePages(process, addresses, to, [], MbindFlag.MOVE));
  expect([
    memcgs.stats.node(a, nodeId(0), "nr_anon_pages"),
    memcgs.stats.node(a, nodeId(1), "nr_anon_pages"),
  ]).toEqual([0, 4]);
  expect(charged(machine, a)).toBe(before);
});

test("so do a page of a file and one that is in swap as well", () => {
  const { memcgs, a } = cgroups([32 * MiB, 32 * MiB]);
  const process = machine.spawn(a);
  const mm = mmOf(process);
  const [memfd, anonymous] = [memfdCreate(machine.vm, "m", 0), machine.map(process, 1)];
  run(fileWrite(memfd, 0, new Uint8Array(PAGE), mm));
  const prot = Prot.READ | Prot.WRITE;
  const shared = run(mmap(mm, { length: PAGE, prot, flags: MapFlag.SHARED, file: memfd }));
  for (const start of [shared, anonymous]) machine.touch(process, start, 1);
  pageout(process, anonymous, 1);
  run(readUser(process, anonymous, new Uint8Array(1)));
  expect(memcgs.stats.node(a, nodeId(0), "nr_swapcached")).toBe(1);
  const to = [nodeId(1), nodeId(1)];
  run(movePages(process, [shared, anonymous], to, [], MbindFlag.MOVE));
  for (const item of ["nr_swapcached", "nr_shmem", "nr_file_pages", "nr_mapped", "nr_anon_pages"] as const)
    expect([item, memcgs.stats.node(a, nodeId(0), item), memcgs.stats.node(a, nodeId(1), item)]).toEqual([
      item,
      0,
      1,
    ]);
});

test("what goes to swap from a removed cgroup is charged to the one above it", () => {
  const { memcgs, a } = cgroups();
  const below = memcgs.create(a, "below");
  const process = machine.spawn(below);
  const start = machine.map(process, 2);
  machine.touch(process, start, 2);
  memcgs.attach(mmOf(process), a);
  memcgs.offline(below);
  pageout(process, start, 1);
  expect([below.swap.usage, a.swap.usage, memcgs.ofSlot(0, 1)]).toEqual([0, 1, a]);
});

test("the root pays for an address space that has outlived its process and its cgroup", () => {
  const { memcgs, a } = cgroups();
  const process = machine.spawn(a);
  const mm = mmOf(process);
  mm.users++;
  run(exitProcess(process));
  memcgs.offline(a);
  expect(memcgs.ofMm(mm)).toBe(memcgs.root);
  run(mmput(mm));
  expect([...memcgs.root.children()]).not.toContain(a);
});

test("a removed cgroup stays as long as it pays for a page, and its kernel memory is its parent's at once", () => {
  const { memcgs, a } = cgroups();
  const below = memcgs.create(a, "below");
  const process = machine.spawn(below);
  machine.fill(process, 3);
  const tables = below.kmem.usage;
  memcgs.attach(mmOf(process), a);
  memcgs.offline(below);
  expect([below.kmem.usage, a.kmem.usage, below.memory.usage]).toEqual([0, tables, 3]);
  expect(memcgs.stats.allNodes(below, "nr_page_table_pages")).toBe(0);
  assertInvariants(memcgs, memcgInvariants);
  run(exitProcess(process));
  expect([...a.children()]).toEqual([]);
  expect(charged(machine, a)).toBe(0);
});

test("a huge page is charged as one, and each part goes on paying once it is split", () => {
  const { memcgs, a } = cgroups();
  const process = machine.spawn(a);
  const mm = mmOf(process);
  const huge = { length: 2 * MiB, prot: Prot.READ | Prot.WRITE, address: 1 << 30 };
  const start = run(mmap(mm, { ...huge, flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED }));
  run(madvise(mm, start, 2 * MiB, Madv.HUGEPAGE));
  machine.touch(process, start, 1);
  expect([anon(machine, a), memcgs.stats.allNodes(a, "nr_anon_transparent_hugepages")]).toEqual([512, 512]);
  assertInvariants(memcgs, memcgInvariants);
  pageout(process, start, 3);
  expect([anon(machine, a), a.swap.usage]).toEqual([509, 3]);
  expect(memcgs.stats.allNodes(a, "nr_anon_transparent_hugepages")).toBe(0);
  assertInvariants(memcgs, memcgInvariants);
  run(exitProcess(process));
  expect([charged(machine, a), a.swap.usage]).toEqual([0, 0]);
});

test("objects of the kernel fill pages together, and sockets keep their cgroup", () => {
  const { memcgs, a } = cgroups();
  const objects = [1000, 3000, 200].map((bytes) => run(chargeKernel(memcgs, a, bytes)));
  expect([a.kmem.usage, charged(machine, a)]).toEqual([2, 2]);
  expect(run(chargeSocket(memcgs, a, 5))).toBe(true);
  expect([memcgs.stats.cgroup(a, "sock"), charged(machine, a)]).toEqual([5, 7]);
  memcgs.offline(a);
  expect([...memcgs.root.children()]).toContain(a);
  expect([a.memory.usage, memcgs.root.memory.usage]).toEqual([5, 7]);
  for (const object of objects) if (object) unchargeKernel(memcgs, object);
  unchargeSocket(memcgs, a, 5);
  expect(memcgs.root.memory.usage).toBe(0);
  expect([...memcgs.root.children()]).not.toContain(a);
});

test("a cgroup with as much as memory.high isn't above it, and with a page more it is", () => {
  const { memcgs, a } = cgroups();
  const process = machine.spawn(a);
  machine.fill(process, 1);
  let above = 0;
  memcgs.overLimit = { ...noRemedy, aboveHigh: () => void above++ };
  a.memory.high = charged(machine, a) + CHARGE_BATCH;
  machine.fill(process, 1);
  expect([a.memory.usage, above]).toEqual([a.memory.high, 0]);
  a.memory.high = charged(machine, a) + CHARGE_BATCH - 1;
  machine.fill(process, 1);
  expect([a.memory.usage, above]).toEqual([a.memory.high + 1, 1]);
});

test("each page that is charged counts as pgpgin, and as pgpgout when it is given back, alone or with others", () => {
  const { memcgs, a } = cgroups();
  const process = machine.spawn(a);
  machine.fill(process, 20);
  const events = (): number[] => [memcgs.stats.cgroup(a, "pgpgin"), memcgs.stats.cgroup(a, "pgpgout")];
  expect(events()).toEqual([20, 0]);
  run(exitProcess(process));
  expect(events()).toEqual([20, 20]);
});

test("at a limit a charge takes back what cpus have in stock before it fails", () => {
  const { memcgs, a } = cgroups();
  const [one, two] = [memcgs.create(a, "one"), memcgs.create(a, "two")];
  a.memory.max = 100;
  expect(memcgs.charging.tryChargePages(one, 1, undefined)).toBe(true);
  expect(a.memory.usage).toBe(64);
  expect(memcgs.charging.tryChargePages(two, 99, undefined)).toBe(true);
  expect([one.memory.usage, two.memory.usage, a.memory.usage]).toEqual([1, 99, 100]);
  expect(memcgs.charging.tryChargePages(two, 1, undefined)).toBe(false);
  one.memory.uncharge(1);
  two.memory.uncharge(99);
});
