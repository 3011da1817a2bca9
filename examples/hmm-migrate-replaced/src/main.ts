// Pages of devices are a port of mm: `new Vm(memory, { devices })`. Here it isn't hmm-migrate that stands behind it but far
// memory of our own. A process and its child share memory, all of which is moved out; a touch of either brings a page back.
import {
  assertInvariants,
  createKernel,
  GiB,
  MiB,
  nodeId,
  type Page,
  PAGE_SIZE,
  physAddr,
} from "@hetmem/kernel";
import { run, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { idleAtZero, pagemapInvariants, Pagemaps, subsectionCollision } from "@hetmem/memremap";
import {
  allocMm,
  exitProcess,
  forkProcess,
  MapFlag,
  mmap,
  type Process,
  Prot,
  readUser,
  Vm,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import { createIomem } from "@hetmem/resource";
import { bootMemory, MemoryHotplug } from "@hetmem/zone";
import { FarMemory, farPages } from "./far-memory.ts";

const PAGES = 4;
const memory = bootMemory(createKernel(), {
  nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(64 * MiB) }], cpus: [0] }],
  physicalBits: 46,
  maxPages: GiB / PAGE_SIZE,
});
const hotplug = new MemoryHotplug({
  memory,
  iomem: createIomem(46),
});
const policies = { collision: subsectionCollision, idle: idleAtZero };
const pagemaps = new Pagemaps({ hotplug, physicalBits: 46, policies });
const vm = new Vm(memory, { devices: farPages(pagemaps) });
const far = new FarMemory(vm, pagemaps);
run(far.bind());
const room = far.free.length;

const mm = allocMm(vm, nodeId(0));
if (mm === undefined) throw new Error("no memory for a page table");
const parent = vm.processes.add("parent", mm, undefined);
const start = run(
  mmap(mm, {
    length: PAGES * PAGE_SIZE,
    prot: Prot.READ | Prot.WRITE,
    flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS,
  }),
);
const pageAt = (page: number): VirtAddr => virtAddr(start + page * PAGE_SIZE);
for (let page = 0; page < PAGES; page++) run(writeUser(parent, pageAt(page), Uint8Array.of(page + 1)));
const child = run(forkProcess(parent));

/** The pages that a process maps, as its page table has them. */
const { pageTable } = mm;
const mapped = Array.from(
  { length: PAGES },
  (_, page) => pageTable.value(pageTable.find(pageAt(page))) as Page,
);
const moved = mapped.filter((page) => run(far.moveOut(page)));
show(`${moved.length} pages that two processes share moved out`);

console.log(`the child reads ${read(child, 1)}`);
show("that page is back, for both");
run(writeUser(parent, pageAt(2), Uint8Array.of(30)));
show("the parent wrote to another, of which it has a copy now");
console.log(`parent: ${values(parent)}, child: ${values(child)}`);
show("all is back");

run(exitProcess(child));
run(exitProcess(parent));
run(far.unbind());

function show(what: string): void {
  console.log(`${what}: ${room - far.free.length} pages in far memory`);
  assertInvariants(vm, vmInvariants);
  assertInvariants(pagemaps, pagemapInvariants);
}

function read(process: Process, page: number): number | undefined {
  const byte = new Uint8Array(1);
  run(readUser(process, pageAt(page), byte));
  return byte[0];
}

function values(process: Process): string {
  return Array.from({ length: PAGES }, (_, page) => read(process, page)).join(" ");
}
