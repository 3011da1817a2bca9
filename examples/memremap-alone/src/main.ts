// memremap by itself: a driver gives the memory of its device struct pages in ZONE_DEVICE, hands two pages out, and is
// unbound while one of them is still in use. A page in use holds a reference on its pagemap, so that the unmapping waits
// for it. There is no mm here and no HMM: the user of a page is a task that holds a reference.
import {
  condResched,
  createKernel,
  GiB,
  KernelError,
  MiB,
  nodeId,
  type Page,
  type Pfn,
  physAddr,
  run,
  Scheduler,
  seededChoice,
  type Sleeps,
} from "@hetmem/kernel";
import {
  DevPagemap,
  idleAtZero,
  MemoryType,
  Pagemaps,
  subsectionCollision,
  zoneDevicePageInit,
} from "@hetmem/memremap";
import { createIomem, parseIomem, releaseResource, requestFreeMemRegion } from "@hetmem/resource";
import { bootMemory, MemoryHotplug } from "@hetmem/zone";

const PHYSICAL_BITS = 40;

const kernel = createKernel();
const memory = bootMemory(kernel, {
  nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(GiB) }], cpus: [0] }],
  physicalBits: PHYSICAL_BITS,
  maxPages: (2 * GiB) / 4096,
});
const { memmap } = memory;
const hotplug = new MemoryHotplug({
  memory,
  iomem: parseIomem("00000000-3fffffff : System RAM\n", createIomem(PHYSICAL_BITS)),
});
// What changed between releases is a policy: these two are those of 5.18 and later.
const policies = { collision: subsectionCollision, idle: idleAtZero };
const pagemaps = new Pagemaps({ hotplug, physicalBits: PHYSICAL_BITS, policies });

/** A driver of 4 MiB that no cpu reaches. It keeps a list of its free pages, and hands pages out. */
class Accelerator {
  readonly free: Page[] = [];
  readonly region = requestFreeMemRegion(hotplug.iomem, 4 * MiB, "accel0", PHYSICAL_BITS);
  readonly pagemap = new DevPagemap({
    type: MemoryType.DevicePrivate,
    name: "accel0",
    ranges: [{ start: this.region.start, size: 4 * MiB }],
    owner: this,
    ops: this,
  });

  *bind(): Sleeps<void> {
    yield* pagemaps.memremapPages(this.pagemap, nodeId(0));
    const { start, end } = this.pagemap.spans[0] ?? { start: 0, end: 0 };
    for (let frame = start; frame < end; frame++) this.free.push(memmap.pfnToPage(frame as Pfn));
  }

  /** A page with one reference, which putPage() drops. */
  take(): Page {
    const page = this.free.pop();
    if (page === undefined) throw new KernelError("ENOMEM", "accel0 has no free page");
    zoneDevicePageInit(pagemaps, page);
    return page;
  }

  /** The pagemap calls this when the last reference of a page is dropped. */
  pageFree(page: Page): void {
    console.log("  a page is idle again");
    this.free.push(page);
  }

  /** Private memory must say how it comes back to RAM; nothing maps it here, so that the cpu never asks. */
  *migrateToRam(): Sleeps<number> {
    throw new KernelError("EFAULT", "no process maps memory of accel0");
  }

  *unbind(): Sleeps<void> {
    yield* pagemaps.memunmapPages(this.pagemap);
    releaseResource(this.region);
    console.log("  unbound: its struct pages are gone");
  }
}

const accel = new Accelerator();
run(accel.bind());
const first = accel.pagemap.firstPfn(0);
console.log(`bound: ${accel.free.length} free pages, ${accel.pagemap.ref.count} reference on the pagemap`);

const [kept, dropped] = [accel.take(), accel.take()];
console.log(`two pages are in use: ${accel.pagemap.ref.count} references`);
memmap.putPage(dropped);

/** Another user of the page, for example a DMA that is under way. */
function* dma(): Sleeps<void> {
  for (let step = 1; step <= 3; step++) {
    // A lookup takes a reference on a live pagemap, and fails once the pagemap is dying.
    const found = pagemaps.getDevPagemap(first);
    console.log(`  dma step ${step}: the pagemap is ${found ? "live" : "dying"}`);
    if (found) pagemaps.putDevPagemap(found);
    yield condResched;
  }
  memmap.putPage(kept);
}

console.log("unbinding, while a dma uses a page:");
const scheduler = new Scheduler(kernel, seededChoice(1));
const unbinding = scheduler.spawn("unbind", accel.unbind());
scheduler.spawn("dma", dma());
scheduler.runAll();
console.log(`unbinding is ${unbinding.state.kind}`);
console.log(`frame 0x${first.toString(16)} has a struct page: ${memmap.pfnValid(first)}`);
