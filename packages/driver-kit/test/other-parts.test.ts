// The examples of docs/ports/other-parts.md do what they say, on a machine of the kits with a second node.
import { MiB, nodeId, type Page, physAddr, run } from "@hetmem/kernel";
import {
  allocMm,
  MapFlag,
  mmap,
  type MmStruct,
  type Process,
  Prot,
  touchUser,
  type Vm,
  type VmParts,
} from "@hetmem/mm";
import { NO_SWAP_ENTRY } from "@hetmem/page-table";
import { SwapSpace } from "@hetmem/reclaim";
import { GFP_HIGHUSER_MOVABLE, onlineBlock, VmEvent } from "@hetmem/zone";
import { expect, test } from "vitest";
import { ReservedSwap } from "../examples/reserved-swap.ts";
import { SecondTouch } from "../examples/second-touch.ts";
import { SomeToOneNode } from "../examples/some-to-one-node.ts";
import { at, SECTION, trialMachine } from "../src/machine.ts";

const PAGES = 4;

/** A machine whose node 1 has got a block of memory. */
function machineWith(parts: VmParts): Vm {
  const { vm, hotplug } = trialMachine({ ram: 8 * MiB, emptyNodes: 1, parts: () => parts });
  run(hotplug.locks.lockDeviceHotplug());
  run(hotplug.addMemory(nodeId(1), physAddr(SECTION), SECTION));
  run(onlineBlock(hotplug, hotplug.block(1), "online_movable"));
  hotplug.locks.unlockDeviceHotplug();
  return vm;
}

/** A process of a node that has touched four pages. */
function processOn(vm: Vm, node: number): { readonly process: Process; readonly mm: MmStruct } {
  const mm = allocMm(vm, nodeId(node));
  if (mm === undefined) throw new Error("the machine is full");
  const process = vm.processes.add("process", mm, undefined);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  run(mmap(mm, { address: at(0), length: PAGES * 4096, prot: Prot.READ | Prot.WRITE, flags }));
  for (let i = 0; i < PAGES; i++) run(touchUser(process, at(i)));
  return { process, mm };
}

function pageAt({ pageTable }: MmStruct, page: number): Page {
  return pageTable.value(pageTable.find(at(page))) as Page;
}

test("ReservedSwap gives out nine slots of ten", () => {
  const vm = machineWith({ swap: (of) => new ReservedSwap(of) });
  if (!(vm.swap instanceof SwapSpace)) throw new Error("the swap is another");
  vm.swap.swapon({ path: "/dev/swap", size: 101 * 4096 });
  const page = vm.memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, nodeId(0));
  let given = 0;
  while (vm.swap.allocSlot(page) !== NO_SWAP_ENTRY) given++;
  expect([given, vm.swap.freePages]).toEqual([90, 10]);
});

test("SomeToOneNode demotes as many pages as it is told, and gives the others back isolated", () => {
  const vm = machineWith({ demotion: (of) => new SomeToOneNode(of, nodeId(1), 3) });
  const { mm } = processOn(vm, 0);
  const pages = Array.from({ length: PAGES }, (_, i) => pageAt(mm, i));
  for (const page of pages) vm.lru.isolate(page);
  expect(run(vm.demotion.demotePages(pages, nodeId(0), "pgdemote_direct"))).toEqual([pages[3]]);
  const nodes = Array.from({ length: PAGES }, (_, i) => vm.memmap.nodeOf(pageAt(mm, i)));
  expect(nodes).toEqual([1, 1, 1, 0]);
  expect(vm.memory.allocator.events[VmEvent.pgdemote_direct]).toBe(3);
});

test("SecondTouch names the node of the process at the second hint, and none for a page at home", () => {
  const vm = machineWith({ promotion: () => new SecondTouch() });
  const { mm } = processOn(vm, 0);
  const vma = mm.vmas.at(at(0));
  if (vma === undefined) throw new Error("nothing is mapped");
  const ask = (page: number): unknown => vm.promotion.misplaced(vma, pageAt(mm, page));
  expect([ask(0), ask(0)]).toEqual([undefined, undefined]);
  mm.node = nodeId(1);
  expect([ask(0), ask(1), ask(0), ask(0)]).toEqual([undefined, undefined, 1, undefined]);
});
