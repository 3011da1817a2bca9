// Invariants of swap, which hold whenever no task is within an atomic step: the count of a slot equals the entries with
// it, and a slot and its page in the swap cache refer to each other. The kernel has no such checks in one place;
// mm/swapfile.c and mm/swap_state.c assert parts of them.
import type { Invariant } from "@hetmem/kernel";
import { entryValue, isValue, MAX_INDEX, NO_INDEX } from "@hetmem/kernel/lib";
import { takeCensus, type Vm } from "@hetmem/mm";
import { describePage, NULL_PAGE, PageFlag } from "@hetmem/page";
import { deviceOfEntry, isSwapinError, slotOfEntry, swapEntry } from "@hetmem/page-table";
import type { SwapDevice } from "./swap-device.ts";
import { SwapSpace } from "./swap-space.ts";

/** Invariants of a machine whose swap is a SwapSpace. Any other swap is not looked at. */
export const swapInvariants: readonly Invariant<Vm>[] = [
  {
    name: "slots count the entries that name them",
    *check(vm) {
      if (!(vm.swap instanceof SwapSpace)) return;
      const named = entriesNaming(vm);
      for (const device of devicesOf(vm)) {
        for (let slot = device.nextInUse(1); slot !== 0; slot = device.nextInUse(slot + 1)) {
          const entries = named.get(swapEntry(device.type, slot)) ?? 0;
          if (device.count(slot) !== entries)
            yield `slot ${slot} of ${device.path} counts ${device.count(slot)}, and ${entries} entries name it`;
          named.delete(swapEntry(device.type, slot));
        }
      }
      for (const [entry, entries] of named)
        yield `${entries} entries name slot ${slotOfEntry(entry)} of device ${deviceOfEntry(entry)}, which is free`;
    },
  },
  {
    name: "slots in use are counted",
    *check(vm) {
      for (const device of devicesOf(vm)) {
        let used = 0;
        for (let slot = device.nextInUse(1); slot !== 0; slot = device.nextInUse(slot + 1)) used++;
        if (device.used !== used) yield `${device.path} counts ${device.used} slots in use, and has ${used}`;
      }
    },
  },
  {
    name: "a slot and the page of the swap cache know each other",
    *check(vm) {
      const { memmap, swap } = vm;
      for (const device of devicesOf(vm)) {
        for (let slot = 1; slot <= device.pages; slot++) {
          const page = swap.cache.lookup(device.type, slot);
          const where = `slot ${slot} of ${device.path}`;
          if ((page !== NULL_PAGE) !== device.hasCache(slot)) yield `${where} is wrong about having a page`;
          if (page === NULL_PAGE) continue;
          if (!memmap.test(page, PageFlag.swapcache) || memmap.private(page) !== swapEntry(device.type, slot))
            yield `${where} has a page that doesn't know it: ${describePage(memmap, page)}`;
        }
      }
    },
  },
];

function devicesOf({ swap }: Vm): readonly SwapDevice[] {
  return swap instanceof SwapSpace ? swap.devices : [];
}

/** Swap entries in page tables and in files of shmem, with the number of each. */
function entriesNaming(vm: Vm): Map<number, number> {
  const named = new Map<number, number>();
  const add = (entry: number, count: number): void => void named.set(entry, (named.get(entry) ?? 0) + count);
  for (const [entry, count] of takeCensus(vm).swapped) add(entry, count);
  for (const { canWriteback, pages } of vm.mappings) {
    if (canWriteback) continue;
    for (let at = pages.find(0, MAX_INDEX); at !== NO_INDEX; at = pages.find(at + 1, MAX_INDEX)) {
      const entry = pages.load(at);
      if (isValue(entry) && !isSwapinError(entryValue(entry))) add(entryValue(entry), 1);
    }
  }
  return named;
}
