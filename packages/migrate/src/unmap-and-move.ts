// The slow path of the migration of one page, which may wait for the page lock, for writeback, and for notifiers. If it
// fails, the page is mapped as before. Kernel counterpart: migrate_folio_unmap() and migrate_folio_move() in
// mm/migrate.c, unmap_and_move() before 6.3.
import type { Errno, Page, Sleeps } from "@hetmem/kernel";
import { lockPage, trylockPage, unlockPage, type Vm } from "@hetmem/mm";
import { waitOnWriteback } from "@hetmem/mm/file";
import { pageMapped, removeMigrationPtes, tryToMigrate } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { type MigrateFailure, MigrateMode } from "./migrate-mode.ts";
import { migratePage } from "./migrate-page.ts";

/** Passes without waiting: most locks are held for a short time only. */
const NONBLOCKING_PASSES = 3;

/**
 * Moves an isolated small page to a new one. The caller's reference on the new page is dropped on success: entries and
 * caches hold it, and it is on its LRU list. The old page keeps the reference of its isolation.
 *
 * @param fresh new page, on no list, with one reference
 * @param mode what may be waited for
 * @param pass number of the attempt, from 0; waits begin at NONBLOCKING_PASSES
 * @returns undefined if the page has moved, else the reason why it stayed: EAGAIN if another attempt may succeed
 */
export function* unmapAndMove(
  vm: Vm,
  page: Page,
  fresh: Page,
  mode: MigrateMode,
  pass: number,
): Sleeps<MigrateFailure | undefined> {
  const { memmap } = vm;
  if (!trylockPage(memmap, page)) {
    if (pass < NONBLOCKING_PASSES || mode === MigrateMode.Async) return stays(page, "EAGAIN", "is locked");
    yield* lockPage(memmap, page);
  }
  const failure = yield* moveLocked(vm, page, fresh, mode, pass);
  unlockPage(memmap, page);
  return failure;
}

/** The reason for a page with an unexpected reference. */
function pinnedReason({ memmap }: Vm, page: Page): string {
  return `is pinned (refcount ${memmap.refcount(page)}, mapcount ${memmap.mapcount(page)})`;
}

function* moveLocked(
  vm: Vm,
  page: Page,
  fresh: Page,
  mode: MigrateMode,
  pass: number,
): Sleeps<MigrateFailure | undefined> {
  const { memmap } = vm;
  if (memmap.test(page, PageFlag.writeback)) {
    if (mode !== MigrateMode.Sync) return stays(page, "EBUSY", "is being written back");
    if (pass < NONBLOCKING_PASSES) return stays(page, "EAGAIN", "is being written back");
    yield* waitOnWriteback(vm, page);
  }
  // When no entry maps the page, nothing else holds its anon_vma, which is needed to map a page again.
  const anonVma = pageMapped(vm, page) ? vm.anonVmas.of(memmap, page) : undefined;
  if (anonVma) vm.anonVmas.get(anonVma);
  trylockPage(memmap, fresh);
  const failure = yield* unmapAndReplace(vm, page, fresh);
  unlockPage(memmap, fresh);
  if (anonVma) vm.anonVmas.put(anonVma);
  if (!failure) memmap.putPage(fresh);
  return failure;
}

function* unmapAndReplace(vm: Vm, page: Page, fresh: Page): Sleeps<MigrateFailure | undefined> {
  const { memmap } = vm;
  const mapped = pageMapped(vm, page);
  const unmapped = yield* tryToMigrate(vm, page);
  if (unmapped && migratePage(vm, page, fresh, 0)) {
    vm.lru.add(fresh);
    if (mapped) yield* removeMigrationPtes(vm, page, fresh);
    return undefined;
  }
  if (mapped) yield* removeMigrationPtes(vm, page, page);
  return stays(page, "EAGAIN", memmap.refcount(page) === 1 ? "was just freed" : pinnedReason(vm, page));
}

function stays(page: Page, errno: Errno, reason: string): MigrateFailure {
  return { page, errno, reason };
}
