// Fills a hole of anonymous memory with a page of the driver, as a fault would with a new page of RAM. The driver has
// zeroed the page. Kernel counterpart: migrate_vma_insert_page() in mm/migrate_device.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { ensureEntry, Rss, type Vma, VmFlag } from "@hetmem/mm";
import { pageAddNewAnonRmap } from "@hetmem/mm/rmap";
import { mlockVmaPage, vmaPageProt } from "@hetmem/mm/vma";
import { invalidateRange, notifyChangePte } from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { EntryKind, NO_ENTRY, Pte, specialPfn } from "@hetmem/page-table";
import { GFP_KERNEL } from "@hetmem/zone";
import { DeviceKind } from "./device-kinds.ts";
import { MigrateSkip } from "./migrate-skip.ts";
import { addressOf, type PageSet } from "./page-set.ts";

/** Result of fillHole() when allocating a page table, or charging, must sleep. */
export const MUST_SLEEP = -1;

/**
 * Flags of the last user, cleared on insertion. PG_dirty isn't among them: the kernel keeps it on a device page, and
 * smaps shows it.
 */
const CLEARED_ON_INSERT = PageFlag.referenced | PageFlag.active | PageFlag.workingset;

/** Fills a hole without sleeping. @returns MigrateSkip.none, the reason why the hole stays, or MUST_SLEEP */
export function fillHole(set: PageSet, i: number, kind: DeviceKind): MigrateSkip | typeof MUST_SLEEP {
  const { vm, vma, dst } = set;
  if (!vma) return MigrateSkip.hole;
  const page = dst[i << 1] as Page;
  const entry = vma.mm.pageTable.find(addressOf(set, i));
  if (entry === NO_ENTRY) return MUST_SLEEP;
  const refusal = whyNot(vma, entry, kind);
  if (refusal !== MigrateSkip.none) return refusal;
  if (!vm.charging.tryCharge(vma.mm, page, 1)) return MUST_SLEEP;
  insert(set, i, vma, entry, kind);
  return MigrateSkip.none;
}

/** fillHole() that allocates missing page tables and charges with reclaim. */
export function* fillHoleSleeping(set: PageSet, i: number, kind: DeviceKind): Sleeps<MigrateSkip> {
  const { vm, vma, dst } = set;
  if (!vma) return MigrateSkip.hole;
  const page = dst[i << 1] as Page;
  const entry = yield* ensureEntry(vma.mm, addressOf(set, i));
  if (entry === NO_ENTRY) return MigrateSkip.noMemory;
  const { charging } = vm;
  if (!charging.tryCharge(vma.mm, page, 1) && !(yield* charging.charge(vma.mm, page, 1, GFP_KERNEL)))
    return MigrateSkip.noMemory;
  const refusal = whyNot(vma, entry, kind);
  if (refusal === MigrateSkip.none) insert(set, i, vma, entry, kind);
  else charging.uncharge(page, 1);
  return refusal;
}

/** The reason against filling an entry: it is no longer a hole, or the page's memory can't be mapped. */
function whyNot({ mm, anonymous }: Vma, entry: number, kind: DeviceKind): MigrateSkip {
  const { pageTable, vm } = mm;
  if (!anonymous) return MigrateSkip.hole;
  if (kind === DeviceKind.fixed) return MigrateSkip.badDestination;
  // The OOM reaper may have removed the old contents. @see check_stable_address_space()
  if (mm.unstable) return MigrateSkip.filled;
  const flags = pageTable.flags(entry);
  if (flags === 0) return MigrateSkip.none;
  const zero = (flags & Pte.special) !== 0 && specialPfn(pageTable.value(entry), flags) === vm.zeroPfn;
  return zero ? MigrateSkip.none : MigrateSkip.filled;
}

function insert(set: PageSet, i: number, vma: Vma, entry: number, kind: DeviceKind): void {
  const { vm, dst } = set;
  const { mm } = vma;
  const { pageTable, rss } = mm;
  const { memmap } = vm;
  const page = dst[i << 1] as Page;
  const address = addressOf(set, i);
  const zero = pageTable.flags(entry) !== 0;
  if (vma.anonVma === undefined) vm.anonVmas.prepare(vma);
  memmap.clear(page, CLEARED_ON_INSERT);
  pageAddNewAnonRmap(vm, page, vma, address);
  if (kind === DeviceKind.none) vm.lru.add(page);
  mlockVmaPage(page, vma);
  rss[Rss.anon] = (rss[Rss.anon] as number) + 1;
  memmap.getPage(page);
  const flags = flagsFor(vma, kind);
  pageTable.set(entry, page, flags);
  if (!zero) return;
  invalidateRange(mm, address, (address + 4096) as typeof address);
  notifyChangePte(mm, address, page, flags);
}

/** Flags of the new entry. Writable at once in a writable mapping: there is no other owner to copy from. */
function flagsFor(vma: Vma, kind: DeviceKind): number {
  const writes = (vma.flags & VmFlag.WRITE) !== 0;
  if (kind === DeviceKind.private) return writes ? EntryKind.devicePrivateWrite : EntryKind.devicePrivateRead;
  const written = writes ? Pte.write | Pte.dirty | Pte.softDirty : 0;
  return vmaPageProt(vma) | Pte.present | Pte.accessed | written;
}
