// Longterm pins. A pinned page in ZONE_MOVABLE would keep its memory block from going offline, and a pinned coherent
// page of a device could not be evicted to RAM. Such pages are migrated first, and pinned at their new place. Kernel
// counterpart: check_and_migrate_movable_pages() in mm/gup.c.
import { KernelError, type Page, type Preempt, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  MigrateMode,
  migratePages,
  MigrateReason,
  migrationTarget,
  putbackMovablePages,
} from "@hetmem/migrate";
import type { MmStruct, Vm } from "@hetmem/mm";
import { Foll, isLongtermPinnable, putGrabbedPage, walkUserPages } from "@hetmem/mm/faultin";
import { PageFlag } from "@hetmem/page";
import { GFP_USER } from "@hetmem/zone";
import { unpinUserPages } from "./unpin.ts";

/**
 * Pins pages, migrates those that must not be pinned longterm, and begins again until there are none.
 *
 * @see __gup_longterm_locked()
 */
export function* gupLongterm(mm: MmStruct, start: VirtAddr, count: number, foll: number): Sleeps<Page[]> {
  // Ends: each turn migrates pages to where they may be pinned, fails, or waits for the task that isolated them.
  for (;;) {
    const pages: Page[] = [];
    yield* walkUserPages(mm, start, count, foll, pages);
    const unpinnable = collectLongtermUnpinnable(mm.vm, pages);
    if (unpinnable.size === 0) return pages;
    yield* migrateLongtermUnpinnable(mm.vm, unpinnable, pages);
  }
}

/** Heads of the pages that must not be pinned longterm. @see collect_longterm_unpinnable_pages() */
function collectLongtermUnpinnable(vm: Vm, pages: readonly Page[]): Set<Page> {
  const unpinnable = new Set<Page>();
  for (const page of pages) if (!isLongtermPinnable(vm, page)) unpinnable.add(vm.memmap.compoundHead(page));
  return unpinnable;
}

/**
 * Unpins all pages, since a pinned page can't be migrated, and migrates the unpinnable ones.
 *
 * @throws KernelError ENOMEM or EBUSY if one of them stays; no page is pinned then
 * @see migrate_longterm_unpinnable_pages()
 */
function* migrateLongtermUnpinnable(
  vm: Vm,
  unpinnable: ReadonlySet<Page>,
  pages: readonly Page[],
): Sleeps<void> {
  const { memmap, devices, lru } = vm;
  const isolated = [...unpinnable].filter((page) => !devices.isCoherent(page) && lru.isolate(page));
  const coherent = [...unpinnable].filter((page) => devices.isCoherent(page));
  for (const page of coherent) memmap.getPage(page);
  unpinUserPages(vm, pages);
  yield* migrateCoherentPages(vm, coherent, isolated);
  if (isolated.length > 0) {
    const target = migrationTarget(vm, { gfp: GFP_USER });
    const { failed } = yield* migratePages(vm, isolated, target, MigrateMode.Sync, MigrateReason.LongtermPin);
    const [first] = failed;
    if (first !== undefined) {
      putbackMovablePages(
        vm,
        failed.map(({ page }) => page),
      );
      throw new KernelError(
        "ENOMEM",
        `a page can't move to where it may be pinned for long: it ${first.reason}`,
      );
    }
  } else if (coherent.length === 0) {
    yield isolatedElsewhere(vm, unpinnable);
  }
}

/**
 * Migrates coherent pages of devices to RAM, each with a reference that takes the place of its pin.
 *
 * @throws KernelError EBUSY
 * @see migrate_device_coherent_page()
 */
function* migrateCoherentPages(vm: Vm, pages: readonly Page[], isolated: readonly Page[]): Sleeps<void> {
  for (const [i, page] of pages.entries()) {
    if (yield* vm.devices.migrateCoherent(vm, page)) continue;
    for (const rest of pages.slice(i + 1)) putGrabbedPage(vm, rest, 1, Foll.GET);
    putbackMovablePages(vm, isolated);
    throw new KernelError("EBUSY", "a device's page can't move to RAM, where it may be pinned for long");
  }
}

/** Waits for pages of which none is on an LRU list: another task has isolated them, and will migrate or free them. */
function isolatedElsewhere({ memmap }: Vm, unpinnable: ReadonlySet<Page>): Preempt {
  return {
    why: "pages that another task isolated",
    ready: () =>
      [...unpinnable].some((page) => memmap.refcount(page) === 0 || memmap.test(page, PageFlag.lru)),
  };
}
