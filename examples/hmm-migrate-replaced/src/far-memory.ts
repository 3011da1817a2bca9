// Far memory: pages that the cpu can't address, which are moved out one by one and come back when they are touched. It stands
// in for @hetmem/hmm-migrate. That package goes by address: a driver names a range of one process. This one goes by page: it
// takes any page, from an LRU list for example, and unmaps it from every process with the reverse mapping.
import { KernelError, MiB, type Page, PAGE_SIZE, type Pfn, type Sleeps } from "@hetmem/kernel";
import {
  DevPagemap,
  type DevPagemapOps,
  MemoryType,
  migrateToRam,
  type Pagemaps,
  zoneDevicePageInit,
} from "@hetmem/memremap";
import { migratePage } from "@hetmem/migrate";
import {
  type DevicePages,
  lockPage,
  noDevicePages,
  trylockPage,
  unlockPage,
  type Vm,
  VmFault,
} from "@hetmem/mm";
import { pageMapped, removeMigrationPtes, tryToMigrate } from "@hetmem/mm/rmap";
import { releaseResource, requestFreeMemRegion, type Resource } from "@hetmem/resource";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";

const BYTES = 2 * MiB;

/** mm's port for pages of devices, for a machine whose only device is far memory. `PagemapPages` is the usual one. */
export function farPages(pagemaps: Pagemaps): DevicePages {
  const typeOf = (page: Page): MemoryType | undefined => pagemaps.pagemapOf(page)?.type;
  return {
    ...noDevicePages,
    tryGetPagemap: (page) => pagemaps.tryGetPagemap(page),
    putPagemap: (page) => pagemaps.putPagemap(page),
    pgmapOwner: (page) => pagemaps.pagemapOf(page)?.owner,
    isPrivate: (page) => typeOf(page) === MemoryType.DevicePrivate,
    *migrateToRam(fault, page) {
      try {
        return yield* migrateToRam(pagemaps, fault, page);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        return error.errno === "ENOMEM" ? VmFault.OOM : VmFault.SIGBUS;
      }
    },
  };
}

export class FarMemory implements DevPagemapOps {
  readonly free: Page[] = [];
  private readonly vm: Vm;
  private readonly pagemaps: Pagemaps;
  private readonly region: Resource;
  private readonly pagemap: DevPagemap;

  constructor(vm: Vm, pagemaps: Pagemaps) {
    this.vm = vm;
    this.pagemaps = pagemaps;
    this.region = requestFreeMemRegion(pagemaps.hotplug.iomem, BYTES, "far0");
    const ranges = [{ start: this.region.start, size: BYTES }];
    this.pagemap = new DevPagemap({
      type: MemoryType.DevicePrivate,
      name: "far0",
      ranges,
      owner: this,
      ops: this,
    });
  }

  *bind(): Sleeps<void> {
    // An idle page is no cgroup's. connectPagemaps() of hmm-migrate says so otherwise.
    this.pagemaps.uncharge = (page) => this.vm.charging.uncharge(page, 1);
    yield* this.pagemaps.memremapPages(this.pagemap, undefined);
    for (let i = 0; i < BYTES / PAGE_SIZE; i++)
      this.free.push(this.vm.memmap.pfnToPage((this.pagemap.firstPfn(0) + i) as Pfn));
  }

  /** Every page must have come back. */
  *unbind(): Sleeps<void> {
    yield* this.pagemaps.memunmapPages(this.pagemap);
    releaseResource(this.region);
  }

  pageFree(page: Page): void {
    this.free.push(page);
  }

  /**
   * Moves an anonymous page of RAM out, from all processes that map it.
   *
   * @returns false for a page that stays: it is on no LRU list, pinned, or there is no room
   */
  *moveOut(page: Page): Sleeps<boolean> {
    const { lru, memmap, pages } = this.vm;
    if (this.free.length === 0 || !lru.isolate(page)) return false;
    yield* lockPage(memmap, page);
    const far = this.free.pop();
    const moved = far !== undefined && (yield* this.moveTo(far, page));
    unlockPage(memmap, page);
    if (!moved) {
      lru.putback(page);
      return false;
    }
    lru.forgetIsolated(page);
    pages.putMigrated(page);
    return true;
  }

  /** The cpu touched a page that is out. The fault holds a reference on it. */
  *migrateToRam(_fault: object, page: Page): Sleeps<VmFault> {
    const { lru, memmap, pages } = this.vm;
    const fresh = yield* pages.alloc(GFP_HIGHUSER_MOVABLE, 0, memmap.nodeOf(page), undefined);
    if (!fresh) return VmFault.OOM;
    yield* lockPage(memmap, page);
    trylockPage(memmap, fresh);
    // Another process that maps the page may have touched it first, and then there is nothing left to do.
    const moved = pageMapped(this.vm, page) && (yield* replace(this.vm, page, fresh));
    unlockPage(memmap, fresh);
    unlockPage(memmap, page);
    if (moved) lru.add(fresh);
    memmap.putPage(fresh);
    return 0;
  }

  private *moveTo(far: Page, page: Page): Sleeps<boolean> {
    const { memmap } = this.vm;
    zoneDevicePageInit(this.pagemaps, far);
    const moved = yield* replace(this.vm, page, far);
    unlockPage(memmap, far);
    // The entries hold references of their own. Without any, this put calls pageFree().
    memmap.putPage(far);
    return moved;
  }
}

/**
 * Puts a page in the place of another in every process: entries become migration entries, at which an access waits, then
 * contents, charge and identity move, and the entries map the new page. Both pages are locked.
 *
 * @returns false for a page that isn't anonymous, or has other users: it is mapped as before
 */
function* replace(vm: Vm, old: Page, fresh: Page): Sleeps<boolean> {
  const anonVma = vm.anonVmas.of(vm.memmap, old);
  if (anonVma === undefined) return false;
  // While no entry maps the page, nothing else keeps the list of its mappings.
  vm.anonVmas.get(anonVma);
  const moved = (yield* tryToMigrate(vm, old)) && migratePage(vm, old, fresh, 0);
  yield* removeMigrationPtes(vm, old, moved ? fresh : old);
  vm.anonVmas.put(anonVma);
  return moved;
}
