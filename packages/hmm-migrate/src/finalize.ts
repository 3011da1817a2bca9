// The last step: maps each page at its new place or its old one, and drops locks and references. Nearly every page
// has migrated and was exclusively mapped: such pages are handled in a plain loop with batched counters. Kernel
// counterpart: migrate_device_finalize() in mm/migrate_device.c.
import { KernelBug, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { addNodeStats, unlockPage, type Vma, VmFlag } from "@hetmem/mm";
import { presentAfterMigration } from "@hetmem/mm/rmap";
import { describePage, NULL_PAGE, PageFlag } from "@hetmem/page";
import { EntryKind, isMigration, KIND_MASK, NO_ENTRY, Pte } from "@hetmem/page-table";
import { NodeStat } from "@hetmem/zone";
import { DeviceKind, DeviceKinds } from "./device-kinds.ts";
import { giveBack, isDevices, mapAgain } from "./give-back.ts";
import { Found, MigratePfn } from "./migrate-pfn.ts";
import { inRuns, type PageSet } from "./page-set.ts";

const MIGRATED_EXCLUSIVE = MigratePfn.migrate | Found.exclusivelyMapped;
const NR_ANON_MAPPED: number = NodeStat.nr_anon_pages;
/** Mask of an entry's index in its table of 512 entries. */
const LAST_ENTRY = 511;
const BATCH_PAGES = 512;
/** Scratch lists of migrated pages, new and old. In use only during finishExclusive(), which is atomic. */
const TO = new Int32Array(BATCH_PAGES);
const FROM = new Int32Array(BATCH_PAGES);

export function* finalize(set: PageSet): Sleeps<void> {
  const { vma } = set;
  // Pages of a VM_LOCKED mapping are mlocked one by one.
  const simple = vma !== undefined && (vma.flags & VmFlag.LOCKED) === 0 ? vma : undefined;
  const kinds = new DeviceKinds(set.vm);
  yield* inRuns(
    set.npages,
    (from) => (simple ? finishExclusive(set, simple, kinds, from) : from),
    (i) => finish(set, i),
  );
}

/**
 * Finishes pages from index `from` on that have migrated and were exclusively mapped.
 *
 * @returns the index of the first other page
 */
function finishExclusive(set: PageSet, vma: Vma, kinds: DeviceKinds, from: number): number {
  const { src, dst, npages, start } = set;
  const { pageTable } = vma.mm;
  const { memmap } = set.vm;
  const { words } = pageTable;
  const { moves } = memmap;
  const writable = (vma.flags & VmFlag.WRITE) !== 0;
  const reach = presentAfterMigration(vma, false, 0);
  let batch = 0;
  // Pagemap words of the last pages, and the kinds derived from them.
  let toWord = 0;
  let fromWord = 0;
  let kind: DeviceKind = DeviceKind.none;
  let fromDevice = false;
  // The entry of the next page; NO_ENTRY at the end of each table.
  let next = NO_ENTRY;
  let i = from;
  for (; i < npages; i++) {
    const page = src[i << 1] as Page;
    const to = dst[i << 1] as Page;
    const entry = next === NO_ENTRY ? pageTable.find((start + i * 4096) as VirtAddr) : next;
    next = (entry & LAST_ENTRY) === LAST_ENTRY ? NO_ENTRY : entry + 1;
    if (((src[(i << 1) | 1] as number) & MIGRATED_EXCLUSIVE) !== MIGRATED_EXCLUSIVE || to === NULL_PAGE) {
      if (page === NULL_PAGE && to === NULL_PAGE) continue;
      break;
    }
    // The migration entry may have been unmapped since, together with its table.
    if (entry === NO_ENTRY || words[entry << 1] !== page) break;
    const had = words[(entry << 1) | 1] as number;
    if (!isMigration(had)) break;
    if (batch === BATCH_PAGES || memmap.pagemap(to) !== toWord || memmap.pagemap(page) !== fromWord) {
      finishBatch(set, batch, kind, fromDevice);
      batch = 0;
      toWord = memmap.pagemap(to);
      fromWord = memmap.pagemap(page);
      kind = kinds.of(to);
      fromDevice = isDevices(set, page);
    }
    const was = had & KIND_MASK;
    const state = moves.arrive(to, was === EntryKind.migrationRead ? 0 : PageFlag.anonExclusive);
    if (state === 0) mappedAlready(set, to);
    const writes = writable && was === EntryKind.migrationWrite;
    let flags = had & Pte.softDirty;
    if (kind === DeviceKind.private) {
      flags |= writes ? EntryKind.devicePrivateWrite : EntryKind.devicePrivateRead;
    } else {
      flags |= reach | (had & Pte.accessed) | (writes ? Pte.write : 0);
      if ((state & PageFlag.dirty) !== 0) flags |= had & Pte.dirty;
    }
    pageTable.set(entry, to, flags);
    FROM[batch] = page;
    TO[batch++] = to;
  }
  finishBatch(set, batch, kind, fromDevice);
  return i;
}

/** Updates counters and LRU lists for a batch, unlocks the old pages, and puts them. */
function finishBatch({ vm }: PageSet, batch: number, kind: DeviceKind, fromDevice: boolean): void {
  const { memmap } = vm;
  if (batch === 0) return;
  addNodeStats(vm, TO, batch, NR_ANON_MAPPED, 1);
  if (kind === DeviceKind.none) vm.lru.addBatch(TO, batch);
  if (!fromDevice) return vm.pages.putMigratedBatch(FROM, batch);
  for (let i = 0; i < batch; i++) {
    memmap.moves.exchange(FROM[i] as Page, PageFlag.locked, 0);
    memmap.putPage(FROM[i] as Page);
  }
}

function mappedAlready({ vm: { memmap } }: PageSet, to: Page): never {
  throw new KernelBug(`a page arrives that is mapped already: ${describePage(memmap, to)}`);
}

function* finish(set: PageSet, i: number): Sleeps<void> {
  const { src, dst } = set;
  const page = src[i << 1] as Page;
  const to = dst[i << 1] as Page;
  if (page === NULL_PAGE) {
    if (to !== NULL_PAGE) drop(set, to);
    return;
  }
  const moved = ((src[(i << 1) | 1] as number) & MigratePfn.migrate) !== 0 && to !== NULL_PAGE;
  if (!moved) {
    // The driver's page is put; its pageFree() gets it back.
    if (to !== NULL_PAGE) drop(set, to);
    return yield* giveBack(set, i);
  }
  arrive(set, to);
  yield* mapAgain(set, i, to);
  leaveBehind(set, page);
  drop(set, to);
}

/** Puts a migrated page of RAM on its LRU list. */
function arrive(set: PageSet, to: Page): void {
  if (!isDevices(set, to)) set.vm.lru.add(to);
}

/** Unlocks and puts the old page of a migration. The last reference frees it; a device page returns to its driver. */
function leaveBehind(set: PageSet, page: Page): void {
  const { vm } = set;
  unlockPage(vm.memmap, page);
  if (isDevices(set, page)) {
    vm.memmap.putPage(page);
  } else {
    vm.lru.forgetIsolated(page);
    vm.pages.putMigrated(page);
  }
}

/** Drops the driver's lock and reference on a destination page. If it is mapped, the mappings hold references. */
function drop({ vm: { memmap } }: PageSet, to: Page): void {
  unlockPage(memmap, to);
  memmap.putPage(to);
}
