// Entries that hold something, but no page that the cpu can reach: it is in swap, on its way, on a device, or bad. Kernel
// counterpart: the first half of do_swap_page() in mm/memory.c, migration_entry_wait() in mm/migrate.c.
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

/** How often a driver is asked for a page that it leaves where it is. */
const MAX_PASSES = 10;

/** mmap lock held for reading. */
export function* handleNonPresent(fault: FaultContext): Sleeps<VmFault> {
  const { origFlags } = fault;
  if (isMigration(origFlags)) {
    yield* migrationEntryWait(fault.vma.mm, fault.address);
    return 0;
  }
  if (isDevicePrivate(origFlags)) return yield* migrateBack(fault);
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
 * Sleeps until the page that a migration entry stands for has arrived, or has stayed. Doesn't where there is no such entry.
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
 * Only its device can reach the page: the driver brings it back, and keeps it alive meanwhile. Where somebody else is at
 * the page, he is waited for. A driver that leaves it where it is all the same should have said SIGBUS: it may not block
 * the way back, and the access would come again for ever.
 */
function* migrateBack(fault: FaultContext): Sleeps<VmFault> {
  const page = entryPage(fault.origValue);
  fault.page = page;
  // Who was in the way may have gone by now, so that nobody is seen: the driver gets another chance.
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (pass > 0) {
      yield condResched;
      yield somebodyElses(fault, page);
    }
    if (!entrySame(fault)) return 0;
    const result = yield* askDriver(fault, page);
    if (result !== 0) return result;
  }
  return entrySame(fault) ? VmFault.SIGBUS : 0;
}

function* askDriver(fault: FaultContext, page: Page): Sleeps<VmFault> {
  const { memmap, devices } = fault.vma.mm.vm;
  memmap.getPage(page);
  try {
    return yield* devices.migrateToRam(fault, page);
  } finally {
    memmap.putPage(page);
  }
}

/** Others who touched it at the same moment, or who move it, hold it no longer than that takes. */
function somebodyElses(fault: FaultContext, page: Page): Preempt {
  const { memmap, devices } = fault.vma.mm.vm;
  return {
    why: "a device's page that somebody holds",
    ready: () =>
      !entrySame(fault) ||
      (!memmap.test(page, PageFlag.locked) &&
        memmap.refcount(page) <= memmap.mapcount(page) + devices.idleCount(page)),
  };
}
