// The second step, after the driver's copy: each destination page takes over the identity of the old page: mapping
// and index, flags, place in the page cache, charge. Holes are filled. A failure leaves the old page unchanged.
// Kernel counterpart: __migrate_device_pages() in mm/migrate_device.c.
import { KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import { migrateAnonymousNoCopy, migratePageNoCopy } from "@hetmem/migrate";
import type { Vm } from "@hetmem/mm";
import { MAPPING_ANON } from "@hetmem/mm/rmap";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { describePage, type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import { DeviceKind, DeviceKinds } from "./device-kinds.ts";
import { fillHole, fillHoleSleeping, MUST_SLEEP } from "./fill-hole.ts";
import { MigratePfn } from "./migrate-pfn.ts";
import { MigrateSkip } from "./migrate-skip.ts";
import { addressOf, inRuns, leave, type PageSet } from "./page-set.ts";

/** @throws KernelBug for a destination that isn't locked */
export function* movePages(set: PageSet): Sleeps<void> {
  const mover = new PageMover(set);
  yield* inRuns(
    set.npages,
    (from) => mover.run(from),
    (i) => mover.fill(i),
  );
  yield* mover.end();
}

class PageMover {
  private readonly set: PageSet;
  private readonly vm: Vm;
  private readonly memmap: MemMap;
  private readonly faultPage: Page;
  private readonly from: DeviceKinds;
  private readonly to: DeviceKinds;
  /** The invalidated range, from the first filled hole to the end; undefined before. */
  private range: MmuNotifierRange | undefined = undefined;

  constructor(set: PageSet) {
    this.set = set;
    this.vm = set.vm;
    this.memmap = set.vm.memmap;
    this.faultPage = set.faultPage;
    this.from = new DeviceKinds(set.vm);
    this.to = new DeviceKinds(set.vm);
  }

  /**
   * Moves pages from index `from` on.
   *
   * @returns the index of the first hole that needs an invalidation or must sleep; npages at the end
   */
  run(from: number): number {
    const { vm, memmap, faultPage } = this;
    const { src, dst, npages } = this.set;
    // Pagemap words of the last pages, and the values derived from them.
    let fromWord = 0;
    let references = 0;
    let toWord = 0;
    let goesThere = false;
    for (let i = from; i < npages; i++) {
      const at = i << 1;
      if (((src[at | 1] as number) & MigratePfn.migrate) === 0) continue;
      const page = src[at] as Page;
      const to = dst[at] as Page;
      if (page !== NULL_PAGE && to !== NULL_PAGE && page !== faultPage) {
        if (memmap.pagemap(page) !== fromWord) {
          fromWord = memmap.pagemap(page);
          references = this.from.referencesOf(page);
        }
        if (memmap.pagemap(to) !== toWord) {
          toWord = memmap.pagemap(to);
          goesThere = this.to.of(to) !== DeviceKind.fixed;
        }
        if (goesThere && migrateAnonymousNoCopy(vm, page, to, references)) continue;
      }
      if (!this.other(i, page, to)) return i;
    }
    return npages;
  }

  *fill(i: number): Sleeps<void> {
    const { set } = this;
    const { vma } = set;
    if (!vma) throw new KernelBug("only pages that have been found are moved without a mapping");
    if (!this.range) {
      const { end, pgmapOwner: owner } = set;
      this.range = { mm: vma.mm, start: addressOf(set, i), end, event: MmuNotifyEvent.Migrate, owner };
      yield* invalidateRangeStart(this.range);
    }
    const reason = yield* fillHoleSleeping(set, i, this.to.of(set.dst[i << 1] as Page));
    if (reason !== MigrateSkip.none) leave(set, i, reason);
  }

  *end(): Sleeps<void> {
    if (this.range) yield* invalidateRangeEnd(this.range);
  }

  /** Handles one entry outside of the fast path. @returns false for a hole that needs an invalidation or must sleep */
  private other(i: number, page: Page, to: Page): boolean {
    const { set } = this;
    let reason: MigrateSkip | typeof MUST_SLEEP = MigrateSkip.noDestination;
    if (to !== NULL_PAGE) {
      const kind = this.expectLocked(to);
      if (page !== NULL_PAGE) reason = this.move(page, to, kind);
      else reason = this.range === undefined ? MUST_SLEEP : fillHole(set, i, kind);
    }
    if (reason === MUST_SLEEP) return false;
    if (reason !== MigrateSkip.none) leave(set, i, reason);
    return true;
  }

  /** @returns MigrateSkip.none, or the reason why the page stays */
  private move(page: Page, to: Page, kind: DeviceKind): MigrateSkip {
    const { vm, memmap } = this;
    if (kind !== DeviceKind.none) {
      if (kind === DeviceKind.fixed) return MigrateSkip.badDestination;
      if ((memmap.mapping(page) & MAPPING_ANON) === 0) return MigrateSkip.file;
      if (memmap.test(page, PageFlag.swapcache)) return MigrateSkip.swapCache;
    }
    const held = this.from.referencesOf(page) - 1;
    const extra = page === this.faultPage ? held + 1 : held;
    return migratePageNoCopy(vm, page, to, extra) ? MigrateSkip.none : MigrateSkip.referenced;
  }

  private expectLocked(page: Page): DeviceKind {
    const { memmap } = this;
    if (!memmap.test(page, PageFlag.locked))
      throw new KernelBug(`the destination of a migration isn't locked: ${describePage(memmap, page)}`);
    return this.to.of(page);
  }
}
