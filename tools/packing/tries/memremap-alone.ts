// @hetmem/memremap without a machine: its README's lines, and unmapping while a page is in use.
import assert from "node:assert/strict";
import {
  createKernel,
  GiB,
  MiB,
  nodeId,
  type Page,
  pfn,
  physAddr,
  run,
  Scheduler,
  seededChoice,
} from "@hetmem/kernel";
import { DevPagemap, MemoryType, Pagemaps, zoneDevicePageInit } from "@hetmem/memremap";
import { createIomem } from "@hetmem/resource";
import { anyOrderPlacement, bootMemory, MemoryHotplug } from "@hetmem/zone";

const kernel = createKernel();
const nodes = [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(GiB) }], cpus: [0] }];
const memory = bootMemory(kernel, {
  nodes,
  distances: [[10]],
  physicalBits: 46,
  maxPages: 2 ** 20,
  reserved: [],
});
const hotplug = new MemoryHotplug({
  memory,
  iomem: createIomem(46),
  placement: () => anyOrderPlacement,
  blockSize: 128 * MiB,
  addressableEnd: 2 ** 46,
  memmapOnMemory: false,
  autoOnline: "offline",
});
const pagemaps = new Pagemaps({ hotplug, physicalBits: 46 });
const pmem = new DevPagemap({
  type: MemoryType.DeviceFsDax,
  name: "pmem0",
  ranges: [{ start: 4 * GiB, size: GiB }],
});
run(pagemaps.memremapPages(pmem, nodeId(0)));
assert.equal(pagemaps.getDevPagemap(pfn(0x100040))?.name, "pmem0");
pagemaps.putDevPagemap(pmem);
run(pagemaps.memunmapPages(pmem));

// Private memory: the driver hands out a page; unmapping waits until it is put.
const freed: Page[] = [];
const vram = new DevPagemap({
  type: MemoryType.DevicePrivate,
  name: "vram",
  owner: {},
  ranges: [{ start: 8 * GiB, size: 128 * MiB }],
  ops: {
    pageFree: (page) => void freed.push(page),
    *migrateToRam() {
      return 0;
    },
  },
});
run(pagemaps.memremapPages(vram, nodeId(0)));
const page = memory.memmap.pfnToPage(pfn((8 * GiB) / 4096));
zoneDevicePageInit(pagemaps, page);
const scheduler = new Scheduler(kernel, seededChoice(1));
const unmap = scheduler.spawn("rmmod", pagemaps.memunmapPages(vram));
for (let i = 0; i < 20 && unmap.state.kind === "running" && unmap.runnable; i++) scheduler.step();
assert.equal(unmap.state.kind, "running");
memory.memmap.putPage(page);
scheduler.runAll();
assert.deepEqual([unmap.state.kind, freed.length], ["done", 1]);
console.log("unmapping waited for the one page in use");
