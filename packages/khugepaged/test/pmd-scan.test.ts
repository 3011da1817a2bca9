// The limits of a scan, each at its value and one beyond.
import { MiB, type Page, run } from "@hetmem/kernel";
import { madvise } from "@hetmem/madvise";
import { Madv, type Process } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { at, mapPages, vmaAt } from "@hetmem/test-machines/mappings";
import { fill, hugeMachine, PARTS, smallAt } from "@hetmem/test-machines/thp";
import { mmOf, PAGE, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { beforeEach, expect, test } from "vitest";
import { type NonPresent, PmdScan, type ScanResult } from "../src/pmd-scan.ts";

let machine: VmMachine;
let process: Process;

beforeEach(() => {
  machine = hugeMachine();
  machine.vm.tunables.transparentHugepage = "never";
  swapSpace(machine.vm).swapon({ path: "/dev/vda", size: 4 * MiB });
  process = machine.spawn();
  mapPages(process, 0, PARTS);
});

function scan(nonPresent: NonPresent = "counted"): ScanResult {
  const { pageTable } = mmOf(process);
  const table = pageTable.tableUnder(pageTable.findPmd(at(0)));
  return new PmdScan(vmaAt(process, 0), "khugepaged", nonPresent).run(table);
}

function pageOut(pages: number): void {
  run(madvise(mmOf(process), at(0), pages * PAGE, Madv.PAGEOUT));
}

/** Forgets that a page was used. */
function age(index: number): void {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(at(index));
  pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.accessed);
  machine.vm.memmap.clear(smallAt(process, at(index)) as Page, PageFlag.young | PageFlag.referenced);
}

test("as many empty entries as max_ptes_none are filled, and one more is too many", () => {
  fill(process, 0, 300, "small");
  machine.vm.tunables.khugepagedMaxPtesNone = PARTS - 300;
  expect(scan()).toBe("succeeded");
  machine.vm.tunables.khugepagedMaxPtesNone--;
  expect(scan()).toBe("exceed_none_pte");
});

test("as many pages in swap as max_ptes_swap are read, and one more is too many", () => {
  fill(process, 0, PARTS, "small");
  pageOut(5);
  machine.vm.tunables.khugepagedMaxPtesSwap = 5;
  expect(scan()).toBe("succeeded");
  machine.vm.tunables.khugepagedMaxPtesSwap = 4;
  expect(scan()).toBe("exceed_swap_pte");
});

test("the second scan refuses an entry that has left memory since the first", () => {
  fill(process, 0, PARTS, "small");
  pageOut(1);
  expect([scan(), scan("refused")]).toEqual(["succeeded", "pte_non_present"]);
});

test("half of the pages must have been used where others are in swap, and one less is too few", () => {
  fill(process, 0, PARTS, "small");
  pageOut(1);
  for (let i = 1; i < PARTS / 2; i++) age(i);
  expect(scan()).toBe("succeeded");
  age(PARTS / 2);
  expect(scan()).toBe("lack_referenced_page");
});

test("a page that another task has locked or isolated keeps its range as it is", () => {
  const { lru, memmap } = machine.vm;
  fill(process, 0, PARTS, "small");
  const page = smallAt(process, at(9)) as Page;
  memmap.set(page, PageFlag.locked);
  expect(scan()).toBe("page_locked");
  memmap.clear(page, PageFlag.locked);
  expect(lru.isolate(page)).toBe(true);
  expect(scan()).toBe("page_not_in_lru");
  lru.putback(page);
  expect(scan()).toBe("succeeded");
});
