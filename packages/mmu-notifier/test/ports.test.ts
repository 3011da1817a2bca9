// The ports of the package, implemented without mm: an IOMMU's address space is a page table, a lock and a list of notifiers.
import { createKernel, type Page, run, RwSemaphore, virtAddr } from "@hetmem/kernel";
import { PageTable, Pte, TableArenas } from "@hetmem/page-table";
import { expect, test } from "vitest";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  MmuNotifier,
  MmuNotifyEvent,
  mmuNotifierRegister,
  type NotifiedMachine,
  type NotifiedMm,
  Srcu,
  watchCoverage,
  type WatchedMachine,
} from "../src/index.ts";

let pages = 0;
const alloc = (): Page => ++pages as Page;

function addressSpace(vm: NotifiedMachine): NotifiedMm {
  return {
    id: 1,
    vm,
    users: 1,
    pageTable: new PageTable({ arenas: new TableArenas(), alloc, free() {} }, alloc(), 0),
    mmapLock: new RwSemaphore(vm.kernel.lockdep, "domain lock"),
    notifiers: undefined,
    *takeAllLocks() {
      return [];
    },
    assertWriteLocked() {},
  };
}

test("an address space of another kind has notifiers, and changes that they aren't told of are found", () => {
  const machine: NotifiedMachine = { kernel: createKernel(), notifierSrcu: new Srcu() };
  const domain = addressSpace(machine);
  const watched: WatchedMachine = { ...machine, addressSpaces: [domain], coverage: undefined };
  const coverage = watchCoverage(watched);
  const told: string[] = [];
  const notifier = new MmuNotifier(
    {
      *invalidateRangeStart(_notifier, { event, start, end }) {
        told.push(`${event} 0x${start.toString(16)}-0x${end.toString(16)}`);
        return true;
      },
    },
    undefined,
  );
  run(mmuNotifierRegister(notifier, domain));

  const [start, end] = [virtAddr(0x1000), virtAddr(0x2000)];
  const { pageTable } = domain;
  pageTable.set(pageTable.ensure(start), alloc(), Pte.present);
  const range = { mm: domain, event: MmuNotifyEvent.Unmap, start, end };
  run(invalidateRangeStart(range));
  pageTable.clear(pageTable.find(start));
  run(invalidateRangeEnd(range));
  expect(told).toEqual(["unmap 0x1000-0x2000"]);
  expect(coverage.findings).toEqual([]);

  pageTable.set(pageTable.ensure(start), alloc(), Pte.present);
  pageTable.clear(pageTable.find(start));
  expect(coverage.findings).toMatchObject([{ address: 0x1000, change: "page removed" }]);
});
