// What the benchmark runs on: a node of RAM, a device with memory of its own, and its driver, which copies as many pages
// at a time as it can.
import { createKernel, GiB, MiB, nodeId, physAddr, run, virtAddr } from "@hetmem/kernel";
import {
  connectPagemaps,
  createMigrateVma,
  migratePfnToPage,
  migrates,
  migrateVmaFinalize,
  migrateVmaPages,
  MigrateVmaSelect,
  migrateVmaSetup,
  PagemapPages,
  setMigrateDst,
} from "@hetmem/hmm-migrate";
import { DevPagemap, MemoryType, Pagemaps, zoneDevicePageInit } from "@hetmem/memremap";
import { allocMm, faultFast, FaultFlag, MapFlag, mmap, Prot, touchUser, trylockPage, Vm } from "@hetmem/mm";
import { createIomem } from "@hetmem/resource";
import { anyOrderPlacement, bootMemory, GFP_HIGHUSER_MOVABLE, MemoryHotplug } from "@hetmem/zone";

export const PAGE = 4096;
export const BASE = virtAddr(0x7f00_0000_0000);
const PHYSICAL_BITS = 46;
/** Pages that the driver copies at a time. */
export const BATCH = 2048;

/** @param {number} bytes of the device */
export function bootDevice(bytes) {
  const memory = bootMemory(createKernel(), {
    nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(GiB) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: PHYSICAL_BITS,
    maxPages: (GiB + 128 * MiB + bytes) / PAGE,
    reserved: [],
  });
  const hotplug = new MemoryHotplug({
    memory,
    iomem: createIomem(PHYSICAL_BITS),
    placement: () => anyOrderPlacement,
    blockSize: 128 * MiB,
    addressableEnd: 2 ** PHYSICAL_BITS,
    memmapOnMemory: false,
    autoOnline: "offline",
  });
  const pagemaps = new Pagemaps({ hotplug, physicalBits: PHYSICAL_BITS });
  const vm = new Vm(memory, { devices: new PagemapPages(pagemaps) });
  connectPagemaps(vm, pagemaps);
  return { vm, device: new Device(vm, pagemaps, bytes) };
}

/** A process with `bytes` of anonymous memory at BASE, each page of it written. */
export function spawnFilled(vm, bytes) {
  const mm = allocMm(vm, nodeId(0));
  const process = vm.processes.add("bench", mm, undefined);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;
  run(mmap(mm, { address: BASE, length: bytes, prot: Prot.READ | Prot.WRITE, flags }));
  for (let at = 0; at < bytes; at += PAGE) {
    if (faultFast(mm, BASE + at, FaultFlag.WRITE | FaultFlag.USER) !== 0) run(touchUser(process, BASE + at));
    vm.memmap.contents.materialise(mm.pageTable.value(mm.pageTable.find(BASE + at))).fill(at >> 12);
  }
  return process;
}

class Device {
  constructor(vm, pagemaps, bytes) {
    this.vm = vm;
    this.pagemaps = pagemaps;
    /** A ring: who came back first goes first. */
    this.idle = new Int32Array(bytes / PAGE);
    this.head = 0;
    this.tail = 0;
    this.from = new Int32Array(BATCH);
    this.into = new Int32Array(BATCH);
    const pagemap = new DevPagemap({
      type: MemoryType.DevicePrivate,
      name: "gpu0",
      ranges: [{ start: 2 ** PHYSICAL_BITS - 128 * MiB, size: 128 * MiB }],
      owner: this,
      ops: {
        pageFree: (page) => {
          vm.memmap.contents.clear(page);
          this.giveBack(page);
        },
        *migrateToRam() {
          throw new Error("the benchmark touches nothing");
        },
      },
    });
    run(pagemaps.memremapPages(pagemap, nodeId(0)));
    const first = vm.memmap.pfnToPage(pagemap.firstPfn(0));
    for (let i = 0; i < this.idle.length; i++) this.giveBack(first + i);
  }

  giveBack(page) {
    this.idle[this.tail++] = page;
    if (this.tail === this.idle.length) this.tail = 0;
  }

  /** Moves all of a range to the device, or back to RAM, a batch after another. @returns what each batch took, in nanoseconds a page */
  toDevice(mm, start, bytes, copies) {
    return this.move(mm, start, bytes, MigrateVmaSelect.system, copies, () => {
      const page = this.idle[this.head++];
      if (this.head === this.idle.length) this.head = 0;
      zoneDevicePageInit(this.pagemaps, page);
      return page;
    });
  }

  toRam(mm, start, bytes, copies) {
    const { memory, memmap } = this.vm;
    return this.move(mm, start, bytes, MigrateVmaSelect.devicePrivate, copies, () => {
      const page = memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, mm.node);
      trylockPage(memmap, page);
      return page;
    });
  }

  move(mm, start, bytes, flags, copies, alloc) {
    run(mm.mmapLock.downRead());
    const vma = mm.vmas.at(start);
    const samples = [];
    for (let at = start; at < start + bytes; at += BATCH * PAGE)
      samples.push(
        this.moveBatch({ vma, start: at, end: at + BATCH * PAGE, pgmapOwner: this, flags }, copies, alloc),
      );
    mm.mmapLock.upRead();
    return samples;
  }

  moveBatch(request, copies, alloc) {
    const began = process.hrtime.bigint();
    const args = createMigrateVma(request);
    run(migrateVmaSetup(args));
    const collected = process.hrtime.bigint();
    const count = this.offer(args, alloc);
    if (copies) this.vm.memmap.contents.copyPages(this.into, this.from, count);
    const copied = process.hrtime.bigint();
    run(migrateVmaPages(args));
    run(migrateVmaFinalize(args));
    const ended = process.hrtime.bigint();
    if (count !== BATCH) throw new Error(`only ${count} pages moved`);
    const driver = Number(copied - collected) / BATCH;
    const all = Number(ended - began) / BATCH;
    return { all, driver, migration: all - driver };
  }

  /** A page for each that moves; both are noted for the copy. */
  offer({ src, dst, npages }, alloc) {
    let count = 0;
    for (let i = 0; i < npages; i++) {
      if (!migrates(src, i)) continue;
      const page = alloc();
      setMigrateDst(dst, i, page);
      this.from[count] = migratePfnToPage(src, i);
      this.into[count++] = page;
    }
    return count;
  }
}
