// Faults on entries that hold a value but no page which the CPU can access: swap entries, migration entries, device
// entries, poisoned pages. Kernel counterparts: the first half of do_swap_page() in mm/memory.c,
// migration_entry_wait() in mm/migrate.c.
import { condResched, KernelBug, type Page, type Preempt, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import {
  EntryKind,
  entryKind,
  entryPage,
  isDeviceExclusive,
  isDevicePrivate,
  isMigration,
  NO_ENTRY,
} from "@hetmem/page-table";
import type { MmStruct } from "../mm-struct.ts";
import { removeDeviceExclusiveEntry } from "../rmap/device-exclusive.ts";
import type { FaultContext } from "../vma/vma.ts";
import { entrySame } from "./fault-context.ts";
import { doSwapPage } from "./swap-in.ts";
import { VmFault } from "./vm-fault.ts";

/** Most calls of migrate_to_ram() for one fault that leave the page on the device. The kernel has no limit. */
const MAX_PASSES = 10;

/** Handles a fault on a non-present entry. The mmap lock is held for reading. */
export function* handleNonPresent(fault: FaultContext): Sleeps<VmFault> {
  const { origFlags } = fault;
  if (isMigration(origFlags)) {
    yield* migrationEntryWait(fault.vma.mm, fault.address);
    return 0;
  }
  if (isDevicePrivate(origFlags)) return yield* handleDevicePrivate(fault);
  if (isDeviceExclusive(origFlags)) return yield* removeDeviceExclusiveEntry(fault);
  switch (entryKind(origFlags)) {
    case EntryKind.swap:
      return yield* doSwapPage(fault);
    case EntryKind.hwpoison:
      return VmFault.HWPOISON;
    case EntryKind.swapinError:
      return VmFault.SIGBUS;
    default:
      throw new KernelBug(
        `an entry of no known kind: flags 0x${origFlags.toString(16)} at 0x${fault.address.toString(16)}`,
      );
  }
}

/**
 * Sleeps until the migration of a page has finished or failed. Returns at once if the entry is no migration entry.
 *
 * @see migration_entry_wait()
 */
export function* migrationEntryWait({ pageTable }: MmStruct, address: VirtAddr): Sleeps<void> {
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY) return;
  const value = pageTable.value(entry);
  const flags = pageTable.flags(entry);
  if (!isMigration(flags)) return;
  const ready = (): boolean => pageTable.value(entry) !== value || pageTable.flags(entry) !== flags;
  yield { why: "migration entry", ready };
}

/**
 * Brings a device-private page back through its driver's migrate_to_ram(), with a reference held. If another task
 * holds the page, the fault waits for that task and tries again. After MAX_PASSES calls that left the page on the
 * device the fault ends in SIGBUS: a driver that can't bring a page back must return SIGBUS, otherwise the access
 * would repeat forever.
 */
function* handleDevicePrivate(fault: FaultContext): Sleeps<VmFault> {
  const page = entryPage(fault.origValue);
  fault.page = page;
  // The task that held the page may have released it already, which looks like a refusal of the driver. Hence several
  // passes.
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (pass > 0) {
      yield condResched;
      yield pageReleased(fault, page);
    }
    if (!entrySame(fault)) return 0;
    const result = yield* callMigrateToRam(fault, page);
    if (result !== 0) return result;
  }
  return entrySame(fault) ? VmFault.SIGBUS : 0;
}

function* callMigrateToRam(fault: FaultContext, page: Page): Sleeps<VmFault> {
  const { memmap, devices } = fault.vma.mm.vm;
  memmap.getPage(page);
  try {
    return yield* devices.migrateToRam(fault, page);
  } finally {
    memmap.putPage(page);
  }
}

/** Waits until the entry has changed, or the page is unlocked and has no references beyond its mappings. */
function pageReleased(fault: FaultContext, page: Page): Preempt {
  const { memmap, devices } = fault.vma.mm.vm;
  return {
    why: "a device page held by another task",
    ready: () =>
      !entrySame(fault) ||
      (!memmap.test(page, PageFlag.locked) &&
        memmap.refcount(page) <= memmap.mapcount(page) + devices.idleCount(page)),
  };
}
