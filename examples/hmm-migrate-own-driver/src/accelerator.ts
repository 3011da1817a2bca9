// The driver: a device with private memory, to which pages of a process move, and from which they come back when the cpu
// touches them. It computes on the pages that it has. The three steps of a migration are in move().
import {
  createMigratePfns,
  createMigrateVma,
  migrateDeviceFinalize,
  migrateDevicePages,
  migrateDeviceRange,
  migratePfnToPage,
  type MigrateVma,
  migrates,
  migrateVmaFinalize,
  migrateVmaPages,
  type MigrateVmaRequest,
  MigrateVmaSelect,
  migrateVmaSetup,
  setMigrateDst,
} from "@hetmem/hmm-migrate";
import { KernelError, MiB, type Page, PAGE_SIZE, type Pfn, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  DevPagemap,
  type DevPagemapOps,
  MemoryType,
  type Pagemaps,
  zoneDevicePageInit,
} from "@hetmem/memremap";
import { type FaultContext, type MmStruct, trylockPage, type Vm, VmFault } from "@hetmem/mm";
import { releaseResource, requestFreeMemRegion, type Resource } from "@hetmem/resource";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";

const BYTES = 2 * MiB;

export class Accelerator implements DevPagemapOps {
  /** Pages of the device that hold memory of a process. */
  readonly used: Set<Page> = new Set();
  private readonly vm: Vm;
  private readonly pagemaps: Pagemaps;
  private readonly region: Resource;
  private readonly pagemap: DevPagemap;
  private readonly free: Page[] = [];

  constructor(vm: Vm, pagemaps: Pagemaps) {
    this.vm = vm;
    this.pagemaps = pagemaps;
    this.region = requestFreeMemRegion(pagemaps.hotplug.iomem, BYTES, "accel0");
    this.pagemap = new DevPagemap({
      type: MemoryType.DevicePrivate,
      name: "accel0",
      ranges: [{ start: this.region.start, size: BYTES }],
      owner: this,
      ops: this,
    });
  }

  *bind(): Sleeps<void> {
    yield* this.pagemaps.memremapPages(this.pagemap, undefined);
    for (let i = 0; i < BYTES / PAGE_SIZE; i++)
      this.free.push(this.vm.memmap.pfnToPage((this.pagemap.firstPfn(0) + i) as Pfn));
  }

  /** The device works on the bytes of each page that it has. */
  compute(work: (bytes: Uint8Array) => void): void {
    for (const page of this.used) work(this.vm.memmap.contents.materialise(page));
  }

  /** Moves pages of a mapping to the device, as many as can move. The result has the reason of each page that stayed. */
  *toDevice(mm: MmStruct, start: VirtAddr, end: VirtAddr): Sleeps<MigrateVma> {
    yield* mm.mmapLock.downRead();
    try {
      const vma = mm.vmas.at(start);
      if (vma === undefined) throw new KernelError("EFAULT", `nothing is mapped at 0x${start.toString(16)}`);
      return yield* this.move({ vma, start, end, flags: MigrateVmaSelect.system, pgmapOwner: this });
    } finally {
      mm.mmapLock.upRead();
    }
  }

  /** The cpu touched a page of the device: it goes back to RAM. The fault holds the mmap lock. */
  *migrateToRam(fault: object, faultPage: Page): Sleeps<VmFault> {
    const { vma, address: start } = fault as FaultContext;
    const end = (start + PAGE_SIZE) as VirtAddr;
    const flags = MigrateVmaSelect.devicePrivate;
    const { src } = yield* this.move({ vma, start, end, flags, pgmapOwner: this, faultPage });
    return migrates(src, 0) ? 0 : VmFault.SIGBUS;
  }

  /** A page lost its last user: it moved to RAM, or its process has gone. */
  pageFree(page: Page): void {
    this.used.delete(page);
    this.free.push(page);
  }

  /** Moves every page to RAM, whichever process maps it, and gives the memory of the device back. */
  *unbind(): Sleeps<void> {
    const pages = BYTES / PAGE_SIZE;
    const [src, dst] = [createMigratePfns(pages), createMigratePfns(pages)];
    yield* migrateDeviceRange(this.vm, src, this.pagemap.firstPfn(0), pages);
    yield* this.copyToRam(src, dst);
    yield* migrateDevicePages(this.vm, src, dst, pages);
    yield* migrateDeviceFinalize(this.vm, src, dst, pages);
    if (this.used.size > 0) throw new KernelError("EBUSY", `${this.used.size} pages of accel0 are in use`);
    yield* this.pagemaps.memunmapPages(this.pagemap);
    releaseResource(this.region);
  }

  private *move(request: MigrateVmaRequest): Sleeps<MigrateVma> {
    const args = createMigrateVma(request);
    // 1. The pages are unmapped and isolated: nothing changes them until the end.
    yield* migrateVmaSetup(args);
    // 2. The driver takes new pages and copies. A page without a new one stays where it is.
    if (args.flags === MigrateVmaSelect.system) this.copyToDevice(args.src, args.dst);
    else yield* this.copyToRam(args.src, args.dst);
    // 3. The new pages take the place of the old ones, and are mapped.
    yield* migrateVmaPages(args);
    yield* migrateVmaFinalize(args);
    return args;
  }

  private copyToDevice(src: Int32Array, dst: Int32Array): void {
    for (let i = 0; i < src.length / 2; i++) {
      const page = migrates(src, i) ? this.free.pop() : undefined;
      if (page === undefined) continue;
      zoneDevicePageInit(this.pagemaps, page);
      this.used.add(page);
      this.vm.memmap.contents.copy(page, migratePfnToPage(src, i));
      setMigrateDst(dst, i, page);
    }
  }

  private *copyToRam(src: Int32Array, dst: Int32Array): Sleeps<void> {
    const { memmap, pages } = this.vm;
    for (let i = 0; i < src.length / 2; i++) {
      if (!migrates(src, i)) continue;
      const old = migratePfnToPage(src, i);
      const page = yield* pages.alloc(GFP_HIGHUSER_MOVABLE, 0, memmap.nodeOf(old), undefined);
      if (!page) continue;
      trylockPage(memmap, page);
      memmap.contents.copy(page, old);
      setMigrateDst(dst, i, page);
    }
  }
}
