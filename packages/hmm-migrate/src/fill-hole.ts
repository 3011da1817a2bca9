// A hole of anonymous memory gets a page of the driver's, as a fault would fill it with a new page of RAM: nothing is
// copied, since the driver has zeroed it. Kernel counterpart: migrate_vma_insert_page() in mm/migrate_device.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import {
  EntryKind,
  ensureEntry,
  invalidateRange,
  mlockVmaPage,
  NO_ENTRY,
  notifyChangePte,
  pageAddNewAnonRmap,
  Pte,
  Rss,
  specialPfn,
  type Vma,
  vmaPageProt,
  VmFlag,
} from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { GFP_KERNEL } from "@hetmem/zone";
import { DeviceKind } from "./device-kinds.ts";
import { MigrateSkip } from "./migrate-skip.ts";
import { addressOf, type PageSet } from "./page-set.ts";

/** What fillHole() says when a page table, or the charge, has to be waited for. */
export const MUST_SLEEP = -1;

/** That its last user made it dirty isn't among them: the kernel lets a device's page keep that, and smaps shows it. */
const NEVER_INHERITED = PageFlag.referenced | PageFlag.active | PageFlag.workingset;

/** Fills a hole if that can be done at once. @returns why it stays one, or MUST_SLEEP */
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

/** The same with page tables that are missing, and a charge that makes room. */
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

/** Whether an entry still has nothing that could get lost, and the page is of a kind that may be mapped. */
function whyNot({ mm, anonymous }: Vma, entry: number, kind: DeviceKind): MigrateSkip {
  const { pageTable, vm } = mm;
  if (!anonymous) return MigrateSkip.hole;
  if (kind === DeviceKind.fixed) return MigrateSkip.badDestination;
  // The OOM killer may have taken what was there. @see check_stable_address_space()
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
  memmap.clear(page, NEVER_INHERITED);
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

/** What the mapping allows is allowed at once: there is nobody to copy from. */
function flagsFor(vma: Vma, kind: DeviceKind): number {
  const writes = (vma.flags & VmFlag.WRITE) !== 0;
  if (kind === DeviceKind.private) return writes ? EntryKind.devicePrivateWrite : EntryKind.devicePrivateRead;
  const written = writes ? Pte.write | Pte.dirty | Pte.softDirty : 0;
  return vmaPageProt(vma) | Pte.present | Pte.accessed | written;
}
