// The driver of the README with an answer to bad memory, described for the kit of pagemap ops, and with one mistake each. Every
// broken driver breaks one obligation, and no other.
import { migratePfnToPage, migrates } from "@hetmem/hmm-migrate";
import type { Page, Pfn, Sleeps, VirtAddr } from "@hetmem/kernel";
import { type DevPagemap, zoneDevicePageInit } from "@hetmem/memremap";
import { VmFault } from "@hetmem/mm";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { TinyGpu } from "../examples/tiny-gpu.ts";
import type { PagemapUnderTest } from "../src/pagemap-ops/index.ts";

export class RetiringGpu extends TinyGpu {
  readonly bad: Set<Page> = new Set();
  override readonly pageFree: (page: Page) => void = (page) => {
    if (!this.bad.has(page)) this.free.push(page);
  };

  *memoryFailure(_pagemap: DevPagemap, first: Pfn, pages: number): Sleeps<void> {
    for (let frame = first; frame < first + pages; frame = (frame + 1) as Pfn) this.retire(frame);
  }

  retire(frame: Pfn): void {
    const page = this.vm.memmap.pfnToPage(frame);
    this.bad.add(page);
    if (this.free.includes(page)) this.free.splice(this.free.indexOf(page), 1);
  }

  override *migrateToRam(fault: object, page: Page): Sleeps<number> {
    return this.bad.has(page) ? VmFault.SIGBUS : yield* super.migrateToRam(fault, page);
  }
}

export function retiringGpu(Driver: typeof RetiringGpu = RetiringGpu): PagemapUnderTest {
  return {
    name: Driver.name,
    *probe({ vm, pagemaps, pages, mm }) {
      const gpu = new Driver(vm, pagemaps, pages);
      yield* gpu.bind(mm);
      return {
        pagemap: gpu.pagemap,
        alloc() {
          const page = gpu.free.pop();
          if (page !== undefined) zoneDevicePageInit(pagemaps, page);
          return page;
        },
        migrateTo: (address, length) => gpu.toDevice(address, (address + length) as VirtAddr),
      };
    },
  };
}

/** Takes each page back once. */
class ForgetsPages extends RetiringGpu {
  private returned = 0;
  override readonly pageFree: (page: Page) => void = (page) => {
    if (this.returned++ < this.pages) this.free.push(page);
  };
}

/** Puts a page on its list twice while most others are in use. */
class ListsTwice extends RetiringGpu {
  private bound = false;
  override readonly pageFree: (page: Page) => void = (page) => {
    if (this.bad.has(page)) return;
    if (this.bound && this.free.length + 2 < this.pages) this.free.unshift(page);
    this.free.push(page);
    this.bound ||= this.free.length === this.pages;
  };
}

/** Locks pages that are idle. */
class LocksIdlePages extends RetiringGpu {
  override readonly pageFree: (page: Page) => void = (page) => {
    if (!this.bad.has(page)) this.free.push(page);
    this.vm.memmap.set(page, PageFlag.locked);
  };
}

/** Answers that it has moved a page, and moves none. */
class MovesNothing extends RetiringGpu {
  override *migrateToRam(): Sleeps<number> {
    return 0;
  }
}

/** Copies the first half of a page. */
class CopiesHalf extends RetiringGpu {
  override *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    yield* super.fill(src, dst, home);
    const page = migratePfnToPage(dst, 0);
    if (home && page !== NULL_PAGE) this.vm.memmap.contents.write(page, 2048, new Uint8Array(2048));
  }
}

/** Keeps a page locked for which there was no memory. */
class LocksWhatStays extends RetiringGpu {
  private failed = false;

  override *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    yield* super.fill(src, dst, home);
    this.failed = home && migrates(src, 0) && migratePfnToPage(dst, 0) === NULL_PAGE;
  }

  override *migrateToRam(fault: object, page: Page): Sleeps<number> {
    const result = yield* super.migrateToRam(fault, page);
    if (this.failed) this.vm.memmap.set(page, PageFlag.locked);
    return result;
  }
}

/** Kills the process whose page is on its way with another one. */
class GivesUpOnBusyPages extends RetiringGpu {
  private found = true;

  override *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    this.found = !home || migrates(src, 0);
    yield* super.fill(src, dst, home);
  }

  override *migrateToRam(fault: object, page: Page): Sleeps<number> {
    const result = yield* super.migrateToRam(fault, page);
    return this.found ? result : VmFault.SIGBUS;
  }
}

/** Clears a bad page, and moves the zeros to RAM. */
class ReadsZeros extends RetiringGpu {
  override retire(frame: Pfn): void {
    super.retire(frame);
    this.vm.memmap.contents.clear(this.vm.memmap.pfnToPage(frame));
  }

  override *migrateToRam(fault: object, page: Page): Sleeps<number> {
    const wasBad = this.bad.delete(page);
    const result = yield* super.migrateToRam(fault, page);
    if (wasBad) this.bad.add(page);
    return result;
  }
}

/** Leaves a bad page among those to hand out. */
class HandsOutBadPages extends RetiringGpu {
  override readonly pageFree: (page: Page) => void = (page) => void this.free.push(page);
}

/** The broken drivers, each with the obligation that it breaks. */
export const BROKEN: readonly (readonly [obligation: string, driver: typeof RetiringGpu])[] = [
  ["takes each page back", ForgetsPages],
  ["hands a page out to one user", ListsTwice],
  ["leaves an idle page as it is", LocksIdlePages],
  ["moves the page that the cpu touches", MovesNothing],
  ["keeps contents on the way", CopiesHalf],
  ["leaves the page when it can't move it", LocksWhatStays],
  ["answers again for a page that is on its way", GivesUpOnBusyPages],
  ["lets nobody read bad memory", ReadsZeros],
  ["hands out no bad page", HandsOutBadPages],
];
