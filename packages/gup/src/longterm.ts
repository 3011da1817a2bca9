// Pins that last: a page in ZONE_MOVABLE would keep its memory from going offline, and a coherent page of a device its
// device from evicting it. They are moved first, and pinned where they may stay. Kernel counterpart:
// check_and_migrate_movable_pages() in mm/gup.c.
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

/** Pins pages, moves those that must not be pinned for long, and begins again until there are none. @see __gup_longterm_locked() */
export function* gupLongterm(mm: MmStruct, start: VirtAddr, count: number, foll: number): Sleeps<Page[]> {
  // Ends: each turn moves pages to where they may stay, fails, or waits for the task that isolated them.
  for (;;) {
    const pages: Page[] = [];
    yield* walkUserPages(mm, start, count, foll, pages);
    const strays = strayPages(mm.vm, pages);
    if (strays.size === 0) return pages;
    yield* moveStrays(mm.vm, strays, pages);
  }
}

/** Heads of the pages that must not stay where they are. @see collect_longterm_unpinnable_pages() */
function strayPages(vm: Vm, pages: readonly Page[]): Set<Page> {
  const strays = new Set<Page>();
  for (const page of pages) if (!isLongtermPinnable(vm, page)) strays.add(vm.memmap.compoundHead(page));
  return strays;
}

/**
 * Unpins all pages, since a pinned page doesn't move, and moves the strays.
 *
 * @throws KernelError ENOMEM, EBUSY when one of them stays; nothing is pinned then
 * @see migrate_longterm_unpinnable_pages()
 */
function* moveStrays(vm: Vm, strays: ReadonlySet<Page>, pages: readonly Page[]): Sleeps<void> {
  const { memmap, devices, lru } = vm;
  const isolated = [...strays].filter((page) => !devices.isCoherent(page) && lru.isolate(page));
  const coherent = [...strays].filter((page) => devices.isCoherent(page));
  for (const page of coherent) memmap.getPage(page);
  unpinUserPages(vm, pages);
  yield* moveCoherent(vm, coherent, isolated);
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
    yield somebodyElses(vm, strays);
  }
}

/** Each comes with a reference in place of its pin. @throws KernelError EBUSY @see migrate_device_coherent_page() */
function* moveCoherent(vm: Vm, pages: readonly Page[], isolated: readonly Page[]): Sleeps<void> {
  for (const [i, page] of pages.entries()) {
    if (yield* vm.devices.migrateCoherent(vm, page)) continue;
    for (const rest of pages.slice(i + 1)) putGrabbedPage(vm, rest, 1, Foll.GET);
    putbackMovablePages(vm, isolated);
    throw new KernelError("EBUSY", "a device's page can't move to RAM, where it may be pinned for long");
  }
}

/** None is on an LRU: somebody else is about to move them, or to free them. */
function somebodyElses({ memmap }: Vm, strays: ReadonlySet<Page>): Preempt {
  return {
    why: "pages that somebody else isolated",
    ready: () => [...strays].some((page) => memmap.refcount(page) === 0 || memmap.test(page, PageFlag.lru)),
  };
}
