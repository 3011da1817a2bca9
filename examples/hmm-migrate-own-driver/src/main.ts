// A process computes on a device: its pages move to the device's memory, the device works on them, and a touch of the cpu
// brings each back. A page that is pinned for DMA stays in RAM, and the migration says why.
import { pinUserPagesFast, unpinUserPages } from "@hetmem/gup";
import { connectPagemaps, migrateSkipName, migrateSkipReason, PagemapPages } from "@hetmem/hmm-migrate";
import {
  createKernel,
  GiB,
  MiB,
  nodeId,
  PAGE_SIZE,
  physAddr,
  run,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import { idleAtZero, Pagemaps, subsectionCollision } from "@hetmem/memremap";
import { allocMm, exitProcess, MapFlag, mmap, Prot, readUser, Vm, writeUser } from "@hetmem/mm";
import { createIomem } from "@hetmem/resource";
import { bootMemory, MemoryHotplug } from "@hetmem/zone";
import { Accelerator } from "./accelerator.ts";

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
// mm and pagemaps meet here: mm asks its port about pages of devices, and the pagemaps tell mm of a page that is idle.
const vm = new Vm(memory, { devices: new PagemapPages(pagemaps) });
connectPagemaps(vm, pagemaps);

const accel = new Accelerator(vm, pagemaps);
run(accel.bind());

const mm = allocMm(vm, nodeId(0));
if (mm === undefined) throw new Error("no memory for a page table");
const process = vm.processes.add("app", mm, undefined);
const start = run(
  mmap(mm, {
    length: PAGES * PAGE_SIZE,
    prot: Prot.READ | Prot.WRITE,
    flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS,
  }),
);
const pageAt = (page: number): VirtAddr => virtAddr(start + page * PAGE_SIZE);
const values = (): number[] =>
  Array.from({ length: PAGES }, (_, page) => {
    const byte = new Uint8Array(1);
    run(readUser(process, pageAt(page), byte));
    return byte[0] ?? 0;
  });
for (let page = 0; page < PAGES; page++) run(writeUser(process, pageAt(page), Uint8Array.of(page + 1)));
console.log(`the process wrote ${values().join(" ")}`);

// Another device has one of the pages pinned, and reads it by its physical address.
const pins = new Int32Array(1);
run(pinUserPagesFast(mm, pageAt(2), 1, {}, pins));
const { src } = run(accel.toDevice(mm, pageAt(0), pageAt(PAGES)));
for (let page = 0; page < PAGES; page++) {
  const why = migrateSkipName(migrateSkipReason(src, page));
  console.log(`  page ${page} ${why === "none" ? "moved to the device" : `stays in RAM: ${why}`}`);
}
unpinUserPages(vm, pins);

accel.compute((bytes) => bytes.forEach((value, i) => (bytes[i] = value * 10)));
console.log(`the device multiplied its ${accel.used.size} pages by ten`);

const byte = new Uint8Array(1);
run(readUser(process, pageAt(0), byte));
console.log(`the cpu read ${byte[0]} of the first page, and the device has ${accel.used.size} pages left`);

run(accel.unbind());
console.log(`unbound: the process has ${values().join(" ")}, and ${mm.rssPages} pages of RAM`);
run(exitProcess(process));
