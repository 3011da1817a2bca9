import { ensureHugetlbPmd } from "@hetmem/hugetlb";
import { KernelError, type Page, run, virtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { NO_ENTRY } from "@hetmem/page-table";
import { vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { ensureEntry } from "../src/fault/handle-mm-fault.ts";
import type { MmStruct } from "../src/mm-struct.ts";

const ADDRESS = virtAddr(0x7f00_0000_0000);

/** An address space that is refused every table, on a machine with free pages. */
function withoutTables(): MmStruct {
  const { vm, spawn } = vmMachine();
  const { mm } = spawn();
  if (!mm) throw new KernelError("ESRCH", "no mm");
  vm.pages.allocTable = () => NULL_PAGE as Page;
  return mm;
}

test("a table that is refused although pages are free counts as missing memory in the end", () => {
  expect(run(ensureEntry(withoutTables(), ADDRESS))).toBe(NO_ENTRY);
});

test("the same holds for a directory that huge pages of the pool are mapped by", () => {
  expect(run(ensureHugetlbPmd(withoutTables(), ADDRESS))).toBe(NO_ENTRY);
});
