// Hints, the faults that they cause, and pages that follow who uses them.
import { MiB, nodeId, run } from "@hetmem/kernel";
import { forkProcess, MapFlag, type Process, readUser } from "@hetmem/mm";
import { MpolFlag } from "@hetmem/mm/policy";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { fsyncRange } from "@hetmem/page-cache";
import { Pte } from "@hetmem/page-table";
import { diskFile, map as mapFile } from "@hetmem/test-machines/files";
import { hotplugVmMachine } from "@hetmem/test-machines/hotplug-vm-machine";
import { check, fill, map, nodesOf, pageBehind } from "@hetmem/test-machines/placed-memory";
import { mmOf, pageAt, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { Gfp, GFP_HIGHUSER_MOVABLE, NodeStat, VmEvent, type VmEventName, ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";
import { scanForHints } from "../src/numa-balancing.ts";
import { setMempolicy } from "../src/set-mempolicy.ts";

const PAGES = 4;

function events({ memory }: VmMachine, ...names: VmEventName[]): (number | undefined)[] {
  return names.map((name) => memory.allocator.events[VmEvent[name]]);
}

/** A process that has filled memory on node 0, and runs on node 1 from now on. */
function moved(machine: VmMachine): { process: Process; start: ReturnType<typeof map> } {
  const process = machine.spawn("mover", 0);
  const start = map(process, PAGES);
  fill(process, start, PAGES);
  mmOf(process).node = nodeId(1);
  return { process, start };
}

function touch(process: Process, address: ReturnType<typeof map>): void {
  expect(run(readUser(process, address, new Uint8Array(1)))).toBeUndefined();
}

test("a scan makes entries inaccessible and counts them, and touching one page moves that page to the node", () => {
  const machine = vmMachine();
  const { process, start } = moved(machine);
  expect(run(scanForHints(mmOf(process), 1024))).toBe(PAGES);
  expect(events(machine, "numa_pte_updates", "numa_hint_faults")).toEqual([PAGES, 0]);
  touch(process, pageAt(start, 1));
  expect(nodesOf(process, start, PAGES)).toEqual([0, 1, 0, 0]);
  expect(events(machine, "numa_hint_faults", "numa_hint_faults_local", "numa_pages_migrated")).toEqual([
    1, 0, 1,
  ]);
  check(process, start, PAGES);
  expect(nodesOf(process, start, PAGES)).toEqual([1, 1, 1, 1]);
});

test("an entry that is hinted at and touched allows what it allowed before", () => {
  const machine = vmMachine({ nodes: [32 * MiB, 32 * MiB] });
  const { process, start } = moved(machine);
  const { pageTable } = mmOf(process);
  const writable = pageTable.flags(pageTable.find(start)) & Pte.write;
  run(scanForHints(mmOf(process), 1024));
  expect(pageTable.flags(pageTable.find(start)) & Pte.protnone).toBe(Pte.protnone);
  touch(process, start);
  const flags = pageTable.flags(pageTable.find(start));
  expect(flags & (Pte.present | Pte.protnone | Pte.write)).toBe(Pte.present | writable);
  fill(process, start, PAGES);
  check(process, start, PAGES);
});

test("pages of a lone process that are where it runs are not hinted at", () => {
  const machine = vmMachine();
  const process = machine.spawn("home", 0);
  const start = map(process, PAGES);
  fill(process, start, PAGES);
  expect(run(scanForHints(mmOf(process), 1024))).toBe(0);
  check(process, start, PAGES);
});

test("a scan goes on where the last one ended, and begins anew at the end", () => {
  const machine = vmMachine();
  const process = machine.spawn("wide", 0);
  const huge = 512;
  const start = map(process, 3 * huge);
  for (let i = 0; i < 3; i++) fill(process, pageAt(start, i * huge), 1);
  mmOf(process).node = nodeId(1);
  const seen: number[] = [];
  do seen.push(run(scanForHints(mmOf(process), 1)));
  while (mmOf(process).numaScanOffset !== 0 && seen.length < 10);
  // The mapping needn't begin where a page table does: then it has a part of a fourth.
  expect(seen.filter((count) => count > 0)).toEqual([1, 1, 1]);
  expect(seen.length).toBeLessThan(5);
});

test("a scan leaves alone while somebody changes the address space", () => {
  const machine = vmMachine();
  const { process } = moved(machine);
  const mm = mmOf(process);
  run(mm.mmapLock.downWrite());
  expect(run(scanForHints(mm, 1024))).toBe(0);
  mm.mmapLock.upWrite();
});

test("pages that children share are not hinted at while a write would copy them", () => {
  const machine = vmMachine();
  const { process, start } = moved(machine);
  const child = run(forkProcess(process));
  expect(run(scanForHints(mmOf(process), 1024))).toBe(0);
  check(child, start, PAGES, process);
});

test("a dirty page of a file is hinted at only when it has been written to its disk", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn("mapper", 0);
  const { file, inode } = diskFile(vm, 1);
  const start = mapFile(process, file, 1, MapFlag.SHARED);
  fill(process, start, 1);
  mmOf(process).node = nodeId(1);
  expect(run(scanForHints(mmOf(process), 1024))).toBe(0);
  run(fsyncRange(inode.mapping));
  expect(run(scanForHints(mmOf(process), 1024))).toBe(1);
});

test("a policy that places pages is stronger than who uses them", () => {
  const machine = vmMachine();
  const { process, start } = moved(machine);
  setMempolicy(mmOf(process), { mode: "preferred", nodes: [nodeId(0)] });
  expect(run(scanForHints(mmOf(process), 1024))).toBe(0);
  setMempolicy(mmOf(process), { mode: "bind", nodes: [0, 1].map(nodeId) });
  expect(run(scanForHints(mmOf(process), 1024))).toBe(0);
  expect(nodesOf(process, start, PAGES)).toEqual([0, 0, 0, 0]);
});

test("a policy that binds and balances moves pages among its nodes, and to no other", () => {
  const machine = vmMachine({ nodes: [32 * MiB, 32 * MiB, 32 * MiB] });
  const { process, start } = moved(machine);
  setMempolicy(mmOf(process), { mode: "bind", flags: MpolFlag.NUMA_BALANCING, nodes: [0, 2].map(nodeId) });
  run(scanForHints(mmOf(process), 1024));
  check(process, start, PAGES);
  expect(nodesOf(process, start, PAGES)).toEqual([0, 0, 0, 0]);
  mmOf(process).node = nodeId(2);
  run(scanForHints(mmOf(process), 1024));
  check(process, start, PAGES);
  expect(nodesOf(process, start, PAGES)).toEqual([2, 2, 2, 2]);
});

test("a pinned page is touched where it is: the fault ends all the same", () => {
  const machine = vmMachine();
  const { process, start } = moved(machine);
  run(scanForHints(mmOf(process), 1024));
  machine.vm.memmap.getPage(pageBehind(process, start));
  check(process, start, PAGES);
  expect(nodesOf(process, start, PAGES)).toEqual([0, 1, 1, 1]);
  expect(events(machine, "numa_hint_faults", "numa_pages_migrated")).toEqual([PAGES, PAGES - 1]);
});

test("a node that is nearly full takes no pages, so that nobody is pushed out", () => {
  const machine = vmMachine();
  const { process, start } = moved(machine);
  const { allocator } = machine.memory;
  while (allocator.allocPages(GFP_HIGHUSER_MOVABLE | Gfp.THISNODE, 0, nodeId(1)) !== NULL_PAGE);
  run(scanForHints(mmOf(process), 1024));
  check(process, start, PAGES);
  expect(nodesOf(process, start, PAGES)).toEqual([0, 0, 0, 0]);
});

test.each([
  { above: 2, boost: 0, node: 1 },
  { above: 1, boost: 0, node: 0 },
  { above: 2, boost: 1, node: 0 },
])("$above free pages above the high watermark, boosted by $boost, leave the page on node $node", (row) => {
  const machine = vmMachine();
  const { process, start } = moved(machine);
  for (const { freePages, lowmemReserve, watermark } of machine.memory.nodes[1]?.zones ?? []) {
    const reserve = lowmemReserve[ZoneType.Movable] ?? 0;
    Object.assign(watermark, { high: freePages - reserve - row.above, boost: row.boost });
  }
  run(scanForHints(mmOf(process), 1024));
  touch(process, start);
  expect(nodesOf(process, start, 1)).toEqual([row.node]);
});

test("a page that two processes share moves for the second touch in a row of one node", () => {
  const machine = vmMachine();
  const first = machine.spawn("first", 0);
  const start = map(first, 1, MapFlag.SHARED);
  fill(first, start, 1);
  const second = run(forkProcess(first));
  mmOf(second).node = nodeId(1);
  const turn = (process: Process): unknown => {
    machine.vm.memmap.clear(pageBehind(first, start), PageFlag.dirty);
    run(scanForHints(mmOf(process), 1024));
    touch(process, start);
    return nodesOf(first, start, 1)[0];
  };
  touch(second, start);
  expect(turn(first)).toBe(0);
  expect(turn(second)).toBe(0);
  expect(turn(second)).toBe(1);
  expect(turn(first)).toBe(1);
  expect(turn(first)).toBe(0);
});

test("a page that comes from slow memory to a node with cpus counts as promoted", () => {
  const nodes = [
    { size: 64 * MiB, cpus: [0] },
    { size: 64 * MiB, cpus: [] },
  ];
  const machine = hotplugVmMachine({ nodes });
  const process = machine.spawn("hot", 1);
  const start = map(process, PAGES);
  fill(process, start, PAGES);
  mmOf(process).node = nodeId(0);
  run(scanForHints(mmOf(process), 1024));
  check(process, start, PAGES);
  expect(nodesOf(process, start, PAGES)).toEqual([0, 0, 0, 0]);
  expect(machine.memory.nodes[0]?.stat[NodeStat.pgpromote_success]).toBe(PAGES);
});
