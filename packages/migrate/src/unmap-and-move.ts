// The migration of one page that may have to wait: for its lock, for its writeback, for those who mirror the processes
// that map it. Whatever goes wrong, the page is again where it was. Kernel counterpart: migrate_folio_unmap() and
// migrate_folio_move() in mm/migrate.c, unmap_and_move() before 6.3.
import type { Errno, Page, Sleeps } from "@hetmem/kernel";
import { lockPage, trylockPage, unlockPage, type Vm } from "@hetmem/mm";
import { waitOnWriteback } from "@hetmem/mm/file";
import { pageMapped, removeMigrationPtes, tryToMigrate } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { type MigrateFailure, MigrateMode } from "./migrate-mode.ts";
import { migratePage } from "./migrate-page.ts";

/** Passes that are made before anybody is waited for: most locks are held for a moment only. */
const HASTY_PASSES = 3;

/**
 * Moves an isolated small page to a new one, which is on no list and has one reference, the caller's. When it has moved,
 * the new page is on its LRU list, and that reference is gone; the old one has its isolation's reference only.
 *
 * @param pass from 0: what is in the way is waited for from the fourth pass on, if the mode allows it
 * @returns why it stayed: EAGAIN when another try may help; undefined when it has moved
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
    if (pass < HASTY_PASSES || mode === MigrateMode.Async)
      return stays(page, "EAGAIN", "is locked by somebody");
    yield* lockPage(memmap, page);
  }
  const failure = yield* moveLocked(vm, page, fresh, mode, pass);
  unlockPage(memmap, page);
  return failure;
}

/** What pins a page, for people. */
export function pinnedReason({ memmap }: Vm, page: Page): string {
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
    if (pass < HASTY_PASSES) return stays(page, "EAGAIN", "is being written back");
    yield* waitOnWriteback(vm, page);
  }
  // Once no entry maps the page, nothing else keeps its anon_vma, and it is needed for the way back.
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
