// What goes when entries are emptied, and what is spared where a file only got a hole.
import { assertInvariants, type Page, run } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { unmapMappingRange } from "@hetmem/page-cache";
import { EntryKind, Pte, specialFlags, specialValue } from "@hetmem/page-table";
import { reapVictim } from "@hetmem/reclaim";
import { deviceMachine } from "@hetmem/test-machines/device-machine";
import { write } from "@hetmem/test-machines/files";
import { entryAt, fileAt, mapAt, RW } from "@hetmem/test-machines/hand-mapped";
import { mapPages } from "@hetmem/test-machines/mappings";
import { BASE, entryOf } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { vmInvariants } from "../src/invariants.ts";
import { forkProcess } from "../src/process/fork.ts";
import { mlock } from "../src/vma/mlock.ts";
import { VmFlag } from "../src/vma/vm-flags.ts";

test("a hole in a file takes frames and pages of devices from who maps them, and spares what was lost of copies", () => {
  const { vm, spawn, devicePage } = deviceMachine();
  const process = spawn();
  const mm = mmOf(process);
  const file = fileAt(vm, "/dev/dax", 3);
  const vma = mapAt(mm, BASE, BASE + 4 * 4096, { file, flags: RW | VmFlag.MIXEDMAP });
  file.mapping?.iMmap.insert(vma);
  const frame = [specialValue(vm.zeroPfn), specialFlags(vm.zeroPfn, Pte.present)] as const;
  mm.pageTable.set(entryAt(mm, BASE), ...frame);
  mm.pageTable.set(entryAt(mm, BASE + 4096), devicePage(0), Pte.present | Pte.devmap);
  mm.pageTable.set(entryAt(mm, BASE + 2 * 4096), devicePage(1), EntryKind.hwpoison);
  mm.pageTable.set(entryAt(mm, BASE + 3 * 4096), 0, EntryKind.swapinError);
  if (!file.mapping) throw new Error("no file");
  run(unmapMappingRange(file.mapping, 0, 4, false));
  expect([0, 1, 2, 3].map((i) => entryOf(process, i)[1])).toEqual([
    0,
    0,
    EntryKind.hwpoison,
    EntryKind.swapinError,
  ]);
  run(unmapMappingRange(file.mapping, 0, 4, true));
  expect([2, 3].map((i) => entryOf(process, i)[1])).toEqual([0, 0]);
});

test("a page that was locked by a process whose memory is taken is no longer locked for who shares it", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  const start = mapPages(parent, 0, 1);
  write(parent, start, "x");
  run(forkProcess(parent));
  const mm = mmOf(parent);
  const page = mm.pageTable.value(mm.pageTable.find(start)) as Page;
  // Locked without a copy, so that both have the page: as a read does it.
  run(mlock(mm, start, 4096, 1));
  expect(vm.memmap.test(page, PageFlag.mlocked)).toBe(true);
  run(reapVictim(vm, parent, mm));
  expect(vm.memmap.test(page, PageFlag.mlocked | PageFlag.unevictable)).toBe(false);
  assertInvariants(vm, vmInvariants);
});
