import { type Page, run } from "@hetmem/kernel";
import { describeFinding, watchCoverage } from "@hetmem/mmu-notifier";
import { Pte } from "@hetmem/page-table";
import { entryAt, fileAt, mapAt, RW, touchFile } from "@hetmem/test-machines/hand-mapped";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { trylockPage } from "../src/page-lock.ts";
import { pageAddFileRmap } from "../src/rmap/map-counts.ts";
import { pageMkclean } from "../src/rmap/page-mkclean.ts";
import { VmFlag } from "../src/vma/vm-flags.ts";
import type { Vma } from "../src/vma/vma.ts";

const AT = 0x10_0000;
const WRITTEN = Pte.present | Pte.write | Pte.dirty | Pte.accessed;

/** A file's first page in two shared mappings and a private one, with the flags of their entries. */
function mapped(first: number, second: number, privately: number) {
  const { vm, spawn } = vmMachine();
  const file = fileAt(vm, "/data", 7);
  const vmas = [RW | VmFlag.SHARED, RW | VmFlag.SHARED, RW].map((flags) =>
    mapAt(mmOf(spawn()), AT, AT + 4096, { file, flags }),
  );
  const page = touchFile(vmas[0] as Vma, AT, { entry: first });
  for (const [i, vma] of vmas.entries()) {
    file.mapping?.iMmap.insert(vma);
    if (i === 0) continue;
    vma.mm.pageTable.set(entryAt(vma.mm, AT), page, i === 1 ? second : privately);
    pageAddFileRmap(vm, page);
    vm.memmap.getPage(page);
  }
  const flags = (): number[] => vmas.map(({ mm }) => mm.pageTable.flags(entryAt(mm, AT)));
  return { vm, page, flags };
}

test("a page that is written back can't be written through any entry without a fault", () => {
  const { vm, page, flags } = mapped(WRITTEN, WRITTEN, Pte.present);
  trylockPage(vm.memmap, page);
  expect(run(pageMkclean(vm, page))).toBe(2);
  expect(flags()).toEqual([Pte.present | Pte.accessed, Pte.present | Pte.accessed, Pte.present]);
});

test("entries that are clean and read-only already are left alone", () => {
  const { vm, page, flags } = mapped(WRITTEN, Pte.present, Pte.present | Pte.accessed);
  trylockPage(vm.memmap, page);
  expect(run(pageMkclean(vm, page))).toBe(1);
  expect(flags()[2]).toBe(Pte.present | Pte.accessed);
});

test("who mirrors the processes hears of it", () => {
  const { vm, page } = mapped(WRITTEN, WRITTEN, Pte.present);
  const coverage = watchCoverage(vm);
  trylockPage(vm.memmap, page);
  run(pageMkclean(vm, page));
  expect(coverage.findings.map(describeFinding)).toEqual([]);
});

test("cleaning a page that isn't locked is a bug", () => {
  const { vm, page } = mapped(WRITTEN, WRITTEN, Pte.present);
  expect(() => run(pageMkclean(vm, page as Page))).toThrow("without its lock");
});
