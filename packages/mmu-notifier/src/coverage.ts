// A check that notifiers hear of every change that matters to them. The check watches each entry of an address space. A
// change that takes something from a mirror (its page, write access, a dirty bit) is a finding unless the task that
// makes it has begun an invalidation of the address. A missing notification is the classic bug of this field: the
// device goes on using a page that has been freed and allocated to another owner. The check sees the setters of the
// page table, which all paths use, and no path depends on it. The kernel has no such check; it has the rules, in the
// comments of mm/mmu_notifier.c and in Documentation/mm/mmu_notifier.rst.
import type { Invariant, VirtAddr } from "@hetmem/kernel";
import {
  ENTRY_SIZE,
  EntryKind,
  entryKind,
  isDeviceExclusive,
  isDevicePrivate,
  type Level,
  Pte,
} from "@hetmem/page-table";
import type { NotifiedMachine, NotifiedMm } from "./notified-mm.ts";
import { NotifierSubscriptions } from "./subscriptions.ts";

/** Access that a mirror of the entry must give up. */
export type CoverageChange =
  | "page removed"
  | "page replaced"
  | "write access removed"
  | "made inaccessible"
  | "dirty bit lost while writable"
  | "device page removed"
  | "device page write access removed"
  | "exclusive access ended";

/** A change of an entry without an invalidation that covers it. */
export interface UncoveredChange {
  readonly mm: NotifiedMm;
  /** First address that the entry maps. */
  readonly address: VirtAddr;
  readonly level: Level;
  readonly change: CoverageChange;
  /** Name of the task that changed the entry. */
  readonly task: string;
  /** The invalidations that were under way, for messages; "none" without any. */
  readonly active: string;
}

/** Findings recorded at most: more of them would tell nothing new. */
const MAX_FINDINGS = 100;

/** Watches address spaces, and records changes that no invalidation covered. */
export class NotifierCoverage {
  /** The first MAX_FINDINGS findings, oldest first. */
  readonly findings: UncoveredChange[] = [];
  private readonly watched: WeakSet<NotifiedMm> = new WeakSet();

  /** Watches an address space from now on. No change of it may be under way. */
  watch(mm: NotifiedMm): void {
    if (this.watched.has(mm)) return;
    this.watched.add(mm);
    const { pageTable, vm } = mm;
    const notifiers = (mm.notifiers ??= new NotifierSubscriptions());
    const { lockdep } = vm.kernel;
    pageTable.watch((address, level, oldValue, oldFlags, value, flags) => {
      const change = loss(oldValue, oldFlags, value, flags);
      if (change === undefined) return;
      const end = (address + (ENTRY_SIZE[level] as number)) as VirtAddr;
      if (notifiers.covers(address, end, lockdep.current)) return;
      this.record({
        mm,
        address,
        level,
        change,
        task: lockdep.current.name,
        active: notifiers.describeActive(),
      });
    });
  }

  private record(finding: UncoveredChange): void {
    if (this.findings.length < MAX_FINDINGS) this.findings.push(finding);
  }
}

/** Watches one address space from now on, and records its findings. */
export function coverageOf(mm: NotifiedMm): NotifierCoverage {
  const coverage = new NotifierCoverage();
  coverage.watch(mm);
  return coverage;
}

/** Port: a machine whose address spaces can all be watched. Vm of the mm package implements it. */
export interface WatchedMachine extends NotifiedMachine {
  readonly addressSpaces: Iterable<NotifiedMm>;
  /** Watches each address space that is made later; undefined until watchCoverage() is called. */
  coverage: NotifierCoverage | undefined;
}

/**
 * Watches all address spaces of a machine, and those that are made later. coverageInvariants check what it finds.
 *
 * @returns the machine's coverage: the same object for each call
 */
export function watchCoverage(vm: WatchedMachine): NotifierCoverage {
  const coverage = (vm.coverage ??= new NotifierCoverage());
  for (const mm of vm.addressSpaces) coverage.watch(mm);
  return coverage;
}

/** Invariants that hold at every step after watchCoverage() was called. */
export const coverageInvariants: readonly Invariant<WatchedMachine>[] = [
  {
    name: "notifiers hear of every change",
    *check({ coverage }) {
      for (const finding of coverage?.findings ?? []) yield describeFinding(finding);
    },
  },
];

/**
 * One line for a finding, such as `mm 3: page removed at 0x7f0000001000 by munmap, and nobody was told (being
 * invalidated: none)`.
 */
export function describeFinding({ mm, address, change, task, active }: UncoveredChange): string {
  return `mm ${mm.id}: ${change} at 0x${address.toString(16)} by ${task}, and nobody was told (being invalidated: ${active})`;
}

/** The access that a mirror of the old entry loses; undefined if the new entry still allows all of it. */
function loss(oldValue: number, oldFlags: number, value: number, flags: number): CoverageChange | undefined {
  if ((oldFlags & Pte.table) !== 0) return undefined;
  if ((oldFlags & Pte.present) !== 0) return lossOfPresent(oldValue, oldFlags, value, flags);
  if (isDevicePrivate(oldFlags)) return lossOfDevicePage(oldValue, oldFlags, value, flags);
  if (isDeviceExclusive(oldFlags) && (!isDeviceExclusive(flags) || value !== oldValue))
    return "exclusive access ended";
  return undefined;
}

function lossOfPresent(
  oldValue: number,
  oldFlags: number,
  value: number,
  flags: number,
): CoverageChange | undefined {
  // A mirror holds only pages that the CPU may access.
  if ((oldFlags & Pte.protnone) !== 0) return undefined;
  const lost = oldFlags & ~flags;
  if ((lost & Pte.present) !== 0) return "page removed";
  if (value !== oldValue) return "page replaced";
  if ((flags & Pte.protnone) !== 0) return "made inaccessible";
  if ((lost & Pte.write) !== 0) return "write access removed";
  // A cleaned page must be dirtied by its next write. A device that still has write access would write without that.
  if ((lost & Pte.dirty) !== 0 && (flags & Pte.write) !== 0) return "dirty bit lost while writable";
  return undefined;
}

function lossOfDevicePage(
  oldValue: number,
  oldFlags: number,
  value: number,
  flags: number,
): CoverageChange | undefined {
  if (!isDevicePrivate(flags) || value !== oldValue) return "device page removed";
  const wasWritable = entryKind(oldFlags) === EntryKind.devicePrivateWrite;
  return wasWritable && entryKind(flags) === EntryKind.devicePrivateRead
    ? "device page write access removed"
    : undefined;
}
