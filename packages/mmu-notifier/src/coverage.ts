// Whether notifiers hear of everything: watches every entry of an address space, and records each change that takes
// something away from who mirrors it while no invalidation covers its address. Losing one is the classic bug of this
// field: the device goes on using a page that is somebody else's by now. It sees what the setters of the page table see,
// which all paths use, and changes nothing about the path that is taken. The kernel has no such check; this is what the
// comments in mm/mmu_notifier.c and Documentation/mm/mmu_notifier.rst ask for.
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

/** What a mirror lost. */
export type CoverageChange =
  | "page removed"
  | "page replaced"
  | "write access removed"
  | "made inaccessible"
  | "dirty bit lost while writable"
  | "device page removed"
  | "device page write access removed"
  | "exclusive access ended";

/** A change that nobody was told of. */
export interface UncoveredChange {
  readonly mm: NotifiedMm;
  /** First byte that the entry maps. */
  readonly address: VirtAddr;
  readonly level: Level;
  readonly change: CoverageChange;
  /** Who did it. */
  readonly task: string;
  /** What was being invalidated meanwhile. */
  readonly active: string;
}

/** A machine that has lost this many notifications tells no more by counting on. */
const MAX_FINDINGS = 100;

export class NotifierCoverage {
  /** In the order in which they happened; the first hundred. */
  readonly findings: UncoveredChange[] = [];
  private readonly watched: WeakSet<NotifiedMm> = new WeakSet();

  /** From now on. Nothing of the address space may be changing. */
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

/** Watches one address space from now on. */
export function coverageOf(mm: NotifiedMm): NotifierCoverage {
  const coverage = new NotifierCoverage();
  coverage.watch(mm);
  return coverage;
}

/** A machine whose address spaces can all be watched; Vm of the mm package is one. */
export interface WatchedMachine extends NotifiedMachine {
  readonly addressSpaces: Iterable<NotifiedMm>;
  /** Watches each address space that is made from now on; undefined as long as nothing is watched. */
  coverage: NotifierCoverage | undefined;
}

/** Watches all address spaces of a machine, those to come among them: what coverageInvariants look at. */
export function watchCoverage(vm: WatchedMachine): NotifierCoverage {
  const coverage = (vm.coverage ??= new NotifierCoverage());
  for (const mm of vm.addressSpaces) coverage.watch(mm);
  return coverage;
}

/** Hold at any step, once watchCoverage() watches. */
export const coverageInvariants: readonly Invariant<WatchedMachine>[] = [
  {
    name: "notifiers hear of every change",
    *check({ coverage }) {
      for (const finding of coverage?.findings ?? []) yield describeFinding(finding);
    },
  },
];

/** `mm 3: page removed at 0x7f0000001000 by munmap, and nobody was told (being invalidated: none)`. */
export function describeFinding({ mm, address, change, task, active }: UncoveredChange): string {
  return `mm ${mm.id}: ${change} at 0x${address.toString(16)} by ${task}, and nobody was told (being invalidated: ${active})`;
}

/** What a mirror of the old entry has to let go of; undefined when it may keep all of it. */
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
  // What the cpu could not reach, nobody mirrors.
  if ((oldFlags & Pte.protnone) !== 0) return undefined;
  const lost = oldFlags & ~flags;
  if ((lost & Pte.present) !== 0) return "page removed";
  if (value !== oldValue) return "page replaced";
  if ((flags & Pte.protnone) !== 0) return "made inaccessible";
  if ((lost & Pte.write) !== 0) return "write access removed";
  // Whoever cleans a page wants to hear of the next write, and a device's isn't heard of.
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
