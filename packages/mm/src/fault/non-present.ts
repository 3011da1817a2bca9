// Entries that hold something, but no page that the cpu can reach: it is in swap, on its way, on a device, or bad. Kernel
// counterpart: the first half of do_swap_page() in mm/memory.c, migration_entry_wait() in mm/migrate.c.
import type { Preempt, Sleeps } from "@hetmem/kernel";
import {
  EntryKind,
  entryKind,
  entryPage,
  isDeviceExclusive,
  isDevicePrivate,
  isMigration,
} from "../page-table/pte.ts";
import { removeDeviceExclusiveEntry } from "../rmap/device-exclusive.ts";
import type { FaultContext } from "../vma/vma.ts";
import { entrySame } from "./fault-context.ts";
import { doSwapPage } from "./swap-in.ts";
import { VmFault } from "./vm-fault.ts";

/** mmap lock held for reading. */
export function* handleNonPresent(fault: FaultContext): Sleeps<VmFault> {
  const { origFlags } = fault;
  if (isMigration(origFlags)) return yield* migrationEntryWait(fault);
  if (isDevicePrivate(origFlags)) return yield* migrateBack(fault);
  if (isDeviceExclusive(origFlags)) return yield* removeDeviceExclusiveEntry(fault);
  switch (entryKind(origFlags)) {
    case EntryKind.swap:
      return yield* doSwapPage(fault);
    case EntryKind.hwpoison:
      return VmFault.HWPOISON;
    default:
      // What a marker stands for was lost: the page could not be read back.
      return VmFault.SIGBUS;
  }
}

/** Sleeps until the page has arrived, or has stayed; the access is tried again then. @see migration_entry_wait() */
function* migrationEntryWait(fault: FaultContext): Sleeps<VmFault> {
  const wait: Preempt = { why: "migration entry", ready: () => !entrySame(fault) };
  if (entrySame(fault)) yield wait;
  return 0;
}

/** Only its device can reach the page: the driver brings it back, and keeps it alive meanwhile. */
function* migrateBack(fault: FaultContext): Sleeps<VmFault> {
  const { memmap, devices } = fault.vma.mm.vm;
  const page = entryPage(fault.origValue);
  fault.page = page;
  memmap.getPage(page);
  const result = yield* devices.migrateToRam(fault, page);
  memmap.putPage(page);
  return result;
}
