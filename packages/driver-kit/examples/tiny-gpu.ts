// A whole driver: it mirrors a process, computes on its pointers, and has private memory that pages move to: see ../README.md.
import { condResched, KernelError, type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import * as migrate from "@hetmem/hmm-migrate";
import { allocHmmPfns, HmmPfn, hmmPfnFlags, hmmPfnToPage, hmmRangeFault } from "@hetmem/hmm-mirror";
import { DevPagemap, MemoryType, type Pagemaps, zoneDevicePageInit } from "@hetmem/memremap";
import * as mm from "@hetmem/mm";
import { setPageDirty } from "@hetmem/mm/file";
import * as notifiers from "@hetmem/mmu-notifier";
import { releaseResource, requestFreeMemRegion, type Resource } from "@hetmem/resource";
import { GFP_HIGHUSER_MOVABLE as GFP } from "@hetmem/zone";
const { system, devicePrivate } = migrate.MigrateVmaSelect;

export class TinyGpu {
  readonly vm: mm.Vm;
  readonly pagemaps: Pagemaps;
  readonly pages: number;
  readonly region: Resource;
  readonly pagemap: DevPagemap;
  readonly free: Page[] = [];
  readonly pageFree = (page: Page): void => void this.free.push(page);
  readonly willWrite = (page: Page): boolean => setPageDirty(this.vm, page);
  constructor(vm: mm.Vm, pagemaps: Pagemaps, pages: number) {
    [this.vm, this.pagemaps, this.pages] = [vm, pagemaps, pages];
    this.region = requestFreeMemRegion(pagemaps.hotplug.iomem, 2 ** 21, "tiny");
    const [type, ranges] = [MemoryType.DevicePrivate, [{ start: this.region.start, size: 2 ** 21 }]];
    this.pagemap = new DevPagemap({ type, name: "tiny", ranges, owner: this, ops: this });
  }
  *bind(process: mm.MmStruct): Sleeps<void> {
    yield* this.pagemaps.memremapPages(this.pagemap, undefined);
    const first = this.vm.memmap.pfnToPage(this.pagemap.firstPfn(0));
    for (let i = 0; i < this.pages; i++) this.pageFree((first + i) as Page);
    yield* notifiers.mmuIntervalNotifierInsert(this.notifier, process, 0 as VirtAddr, 2 ** 47);
  }

  readonly table: Map<number, { readonly page: Page; readonly flags: number }> = new Map();
  readonly notifier: notifiers.MmuIntervalNotifier = new notifiers.MmuIntervalNotifier(this, undefined);
  *invalidate(_: unknown, { start, end }: notifiers.MmuNotifierRange, sequence: number): Sleeps<boolean> {
    notifiers.mmuIntervalSetSeq(this.notifier, sequence);
    for (const at of this.table.keys()) if (at >= start && at < end) this.table.delete(at);
    return true;
  }

  *locked<T>(address: VirtAddr, body: (vma: mm.Vma) => Sleeps<T>): Sleeps<T> {
    const { mmapLock, vmas } = this.notifier.mm as mm.MmStruct;
    yield* mmapLock.downRead();
    try {
      const vma = vmas.at(address);
      if (vma === undefined)
        throw new KernelError("EFAULT", `nothing is mapped at 0x${address.toString(16)}`);
      return yield* body(vma);
    } finally {
      mmapLock.upRead();
    }
  }
  *fault(start: VirtAddr, write: boolean): Sleeps<void> {
    const defaultFlags = HmmPfn.reqFault | (write ? HmmPfn.reqWrite : 0);
    const [hmmPfns, end, notifier] = [allocHmmPfns(1), (start + PAGE_SIZE) as VirtAddr, this.notifier];
    const range = { notifier, start, end, hmmPfns, defaultFlags, pfnFlagsMask: 0, devPrivateOwner: this };
    for (let busy = true; busy;) {
      const notifierSeq = yield* notifiers.mmuIntervalReadBegin(notifier);
      const result = yield* this.locked(start, () => hmmRangeFault({ ...range, notifierSeq }));
      yield condResched; // Where a driver waits for its lock: from here to the entry nobody else runs.
      busy = result === "busy" || notifiers.mmuIntervalReadRetry(notifier, notifierSeq);
    }
    const [page, flags] = [hmmPfnToPage(hmmPfns, 0), hmmPfnFlags(hmmPfns, 0)];
    if (flags & HmmPfn.write) this.willWrite(page);
    this.table.set(start, { page, flags });
  }

  *access(address: VirtAddr, bytes: Uint8Array, write: boolean): Sleeps<void> {
    const { contents } = this.vm.memmap;
    const offset = address % PAGE_SIZE;
    const entry = this.table.get(address - offset);
    if (entry && !write) return contents.read(entry.page, offset, bytes);
    if (entry && entry.flags & HmmPfn.write) return contents.write(entry.page, offset, bytes);
    if (entry && this.pagemaps.pagemapOf(entry.page) === this.pagemap) yield* this.evict();
    yield* this.fault((address - offset) as VirtAddr, write);
    yield* this.access(address, bytes, write);
  }

  *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    const { memmap, pages } = this.vm;
    for (let i = 0; i < src.length / 2; i++) {
      const old = migrate.migratePfnToPage(src, i);
      if (!migrate.migrates(src, i) || (home && !old)) continue;
      const page = home ? yield* pages.alloc(GFP, 0, memmap.nodeOf(old), undefined) : this.free.pop();
      if (!page) continue;
      if (home) mm.trylockPage(memmap, page);
      else zoneDevicePageInit(this.pagemaps, page);
      memmap.contents.copy(page, old);
      migrate.setMigrateDst(dst, i, page);
    }
  }
  *move(request: Omit<migrate.MigrateVmaRequest, "pgmapOwner">): Sleeps<void> {
    const args = migrate.createMigrateVma({ ...request, pgmapOwner: this });
    yield* migrate.migrateVmaSetup(args);
    yield* this.fill(args.src, args.dst, args.flags === devicePrivate);
    yield* migrate.migrateVmaPages(args);
    yield* migrate.migrateVmaFinalize(args);
  }
  toDevice(start: VirtAddr, end: VirtAddr): Sleeps<void> {
    return this.locked(start, (vma) => this.move({ vma, start, end, flags: system }));
  }
  *migrateToRam(fault: object, faultPage: Page): Sleeps<number> {
    const { vma, address: start } = fault as mm.FaultContext;
    yield* this.move({ vma, start, end: (start + PAGE_SIZE) as VirtAddr, flags: devicePrivate, faultPage });
    return 0;
  }
  *evict(): Sleeps<void> {
    const [src, dst] = [migrate.createMigratePfns(this.pages), migrate.createMigratePfns(this.pages)];
    yield* migrate.migrateDeviceRange(this.vm, src, this.pagemap.firstPfn(0), this.pages);
    yield* this.fill(src, dst, true);
    yield* migrate.migrateDevicePages(this.vm, src, dst, this.pages);
    yield* migrate.migrateDeviceFinalize(this.vm, src, dst, this.pages);
  }
  *unbind(): Sleeps<void> {
    if (this.notifier.mm) yield* notifiers.mmuIntervalNotifierRemove(this.notifier);
    this.table.clear();
    yield* this.evict();
    if (this.free.length < this.pages) throw new KernelError("EBUSY", "pages of tiny are in use: try again");
    yield* this.pagemaps.memunmapPages(this.pagemap);
    releaseResource(this.region);
  }
}
