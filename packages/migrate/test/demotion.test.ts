// Memory tiers, and cold pages that go to slower memory rather than to swap.
import { MiB, nodeId, type Page, run } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { hotplugVmMachine, type HotplugVmMachine } from "@hetmem/test-machines/hotplug-vm-machine";
import { check, fill, map, nodesOf, pageBehind } from "@hetmem/test-machines/placed-memory";
import { pageAt } from "@hetmem/test-machines/vm-machine";
import { Gfp, GFP_HIGHUSER_MOVABLE, VmEvent } from "@hetmem/zone";
import { expect, test } from "vitest";
import { MEMTIER_ADISTANCE_DRAM, MEMTIER_ADISTANCE_SLOW } from "../src/memory-tiers.ts";

const DRAM = { size: 32 * MiB, cpus: [0] };
const SLOW = { size: 32 * MiB, cpus: [] };

/** A process on node 0 with four pages, which are isolated as reclaim does it. */
function cold(machine: HotplugVmMachine) {
  const process = machine.spawn("cold", 0);
  const start = map(process, 4);
  fill(process, start, 4);
  const pages: Page[] = [0, 1, 2, 3].map((i) => pageBehind(process, pageAt(start, i)));
  for (const page of pages) machine.vm.lru.isolate(page);
  return { process, start, pages };
}

test("nodes without cpus are slow, and fast ones demote to the nearest of them", () => {
  const { vm } = hotplugVmMachine({ nodes: [DRAM, SLOW, { ...DRAM, cpus: [1] }] });
  expect(vm.tiers.tiers.map(({ nodes }) => nodes)).toEqual([[0, 2], [1]]);
  expect([0, 1, 2].map((id) => vm.tiers.isToptier(nodeId(id)))).toEqual([true, false, true]);
  expect([0, 1, 2].map((id) => vm.tiers.nextDemotionNode(nodeId(id)))).toEqual([1, undefined, 1]);
});

test("each tier demotes to the next, and may use all that are slower", () => {
  const { vm } = hotplugVmMachine({ nodes: [DRAM, SLOW, SLOW] });
  vm.tiers.setAdistance(nodeId(2), MEMTIER_ADISTANCE_SLOW * 2);
  expect([0, 1, 2].map((id) => vm.tiers.nextDemotionNode(nodeId(id)))).toEqual([1, 2, undefined]);
  expect(vm.tiers.allowedTargets(nodeId(0))).toEqual([1, 2]);
});

test("memory without cpus that its driver calls as fast as DRAM is no target", () => {
  const { vm } = hotplugVmMachine({ nodes: [DRAM, SLOW] });
  vm.tiers.setAdistance(nodeId(1), MEMTIER_ADISTANCE_DRAM);
  expect(vm.tiers.nextDemotionNode(nodeId(0))).toBeUndefined();
  expect(vm.tiers.isToptier(nodeId(1))).toBe(true);
});

test("targets that are as near as each other take turns", () => {
  const { vm } = hotplugVmMachine({ nodes: [DRAM, SLOW, SLOW] });
  const taken = [0, 1, 2, 3].map(() => vm.tiers.nextDemotionNode(nodeId(0)));
  expect(taken).toEqual([1, 2, 1, 2]);
});

test("a node is a target once it has memory, and no longer when that goes", () => {
  const machine = hotplugVmMachine();
  expect(machine.vm.tiers.nextDemotionNode(nodeId(0))).toBeUndefined();
  const id = machine.plug(0, 1);
  expect(machine.vm.tiers.nextDemotionNode(nodeId(0))).toBe(1);
  machine.offline(id);
  expect(machine.vm.tiers.nextDemotionNode(nodeId(0))).toBeUndefined();
});

test("reclaim may demote where the administrator allows it and something slower is there", () => {
  const { vm } = hotplugVmMachine({ nodes: [DRAM, SLOW] });
  expect(vm.demotion.canDemote(nodeId(0))).toBe(false);
  vm.tunables.demotionEnabled = true;
  expect([0, 1].map((id) => vm.demotion.canDemote(nodeId(id)))).toEqual([true, false]);
});

test("demoted pages are on the slow node, with their contents, and are counted for who demoted them", () => {
  const machine = hotplugVmMachine({ nodes: [DRAM, SLOW] });
  const { process, start, pages } = cold(machine);
  expect(run(machine.vm.demotion.demotePages(pages.slice(0, 3), nodeId(0), "pgdemote_kswapd"))).toEqual([]);
  expect(run(machine.vm.demotion.demotePages(pages.slice(3), nodeId(0), "pgdemote_direct"))).toEqual([]);
  expect(nodesOf(process, start, 4)).toEqual([1, 1, 1, 1]);
  check(process, start, 4);
  const { events } = machine.memory.allocator;
  expect([events[VmEvent.pgdemote_kswapd], events[VmEvent.pgdemote_direct]]).toEqual([3, 1]);
});

test("where the next slower node is full, the one behind it takes the pages", () => {
  const machine = hotplugVmMachine({ nodes: [DRAM, SLOW, SLOW] });
  machine.vm.tiers.setAdistance(nodeId(2), MEMTIER_ADISTANCE_SLOW * 2);
  const { process, start, pages } = cold(machine);
  const { allocator } = machine.memory;
  while (allocator.allocPages(GFP_HIGHUSER_MOVABLE | Gfp.THISNODE, 0, nodeId(1)) !== NULL_PAGE);
  expect(run(machine.vm.demotion.demotePages(pages, nodeId(0), "pgdemote_direct"))).toEqual([]);
  expect(nodesOf(process, start, 4)).toEqual([2, 2, 2, 2]);
});

test("pages that can't be demoted come back isolated, for reclaim to deal with", () => {
  const machine = hotplugVmMachine({ nodes: [DRAM, SLOW] });
  const { pages } = cold(machine);
  const [pinned] = pages as [Page];
  machine.vm.memmap.getPage(pinned);
  expect(run(machine.vm.demotion.demotePages(pages, nodeId(0), "pgdemote_direct"))).toEqual([pinned]);
  machine.vm.memmap.putPage(pinned);
  machine.vm.lru.putback(pinned);
  expect(run(machine.vm.demotion.demotePages([pinned], nodeId(1), "pgdemote_direct"))).toEqual([pinned]);
});
