import { type Page, run, virtAddr } from "@hetmem/kernel";
import { MmuNotifier, type MmuNotifierRange, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { EntryKind, entryKind, Pte } from "@hetmem/page-table";
import { diskFile, map, read, readSignal, RW, write } from "@hetmem/test-machines/files";
import { at, BASE, entryFlags, errnoOf, expectSound, layout, mapPages } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { MapFlag } from "../src/vma/map-flags.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { munmap } from "../src/vma/munmap.ts";
import { Prot } from "../src/vma/vm-flags.ts";

const { READ, NONE } = Prot;

test("pages that may no longer be read keep their contents for when they may again", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 1);
  write(process, at(0), "kept");
  run(mprotect(mmOf(process), at(0), PAGE, NONE));
  expect(entryFlags(process, at(0)) & (Pte.present | Pte.protnone | Pte.write)).toBe(
    Pte.present | Pte.protnone,
  );
  expect(readSignal(process, at(0))?.code).toBe("SEGV_ACCERR");
  expectSound(vm);
  run(mprotect(mmOf(process), at(0), PAGE, RW));
  expect(read(process, at(0), 4)).toBe("kept");
});

test("a dirty page that is this process's alone gets the right to write back without a fault", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 2);
  write(process, at(0), "x");
  read(process, at(1), 1);
  run(mprotect(mmOf(process), at(0), 2 * PAGE, READ));
  expect(entryFlags(process, at(0)) & Pte.write).toBe(0);
  run(mprotect(mmOf(process), at(0), 2 * PAGE, RW));
  expect(entryFlags(process, at(0)) & Pte.write).toBe(Pte.write);
  // The zero page must be copied first.
  expect(entryFlags(process, at(1)) & Pte.write).toBe(0);
});

test("a page that a child shares stays read-only, whatever the mapping allows", () => {
  const { spawn } = vmMachine();
  const parent = spawn();
  mapPages(parent, 0, 1);
  write(parent, at(0), "both");
  const child = run(forkProcess(parent));
  run(mprotect(mmOf(parent), at(0), PAGE, READ));
  run(mprotect(mmOf(parent), at(0), PAGE, RW));
  expect(entryFlags(parent, at(0)) & Pte.write).toBe(0);
  write(parent, at(0), "mine");
  expect(read(child, at(0), 4)).toBe("both");
});

test("a clean page of a file that counts dirty pages isn't made writable: the first write is noted", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 1);
  const address = map(process, file, 1, MapFlag.SHARED, READ);
  read(process, address, 1);
  run(mprotect(mmOf(process), address, PAGE, RW));
  expect(entryFlags(process, address) & Pte.write).toBe(0);
  write(process, address, "noted");
  expect(entryFlags(process, address) & Pte.write).toBe(Pte.write);
});

test("shared memory gets its entries back writable at once", () => {
  const process = vmMachine().spawn();
  const address = map(process, undefined, 1, MapFlag.SHARED);
  write(process, address, "x");
  run(mprotect(mmOf(process), address, PAGE, READ));
  run(mprotect(mmOf(process), address, PAGE, RW));
  expect(entryFlags(process, address) & Pte.write).toBe(Pte.write);
});

for (const [what, kind, becomes] of [
  [
    "a page that is being moved comes back read-only, and as this process's alone",
    "migrationWrite",
    "migrationReadExclusive",
  ],
  ["a page of a device comes back read-only", "devicePrivateWrite", "devicePrivateRead"],
  ["a page that a device uses alone comes back read-only", "deviceExclusiveWrite", "deviceExclusiveRead"],
  ["a page that can't be written anyway stays what it is", "migrationRead", "migrationRead"],
] as const) {
  test(what, () => {
    const process = vmMachine().spawn();
    mapPages(process, 0, 1);
    write(process, at(0), "x");
    makeNonPresent(process, EntryKind[kind] | Pte.softDirty);
    run(mprotect(mmOf(process), at(0), PAGE, READ));
    const flags = entryFlags(process, at(0));
    expect(entryKind(flags)).toBe(EntryKind[becomes]);
    expect(flags & Pte.softDirty).toBe(Pte.softDirty);
  });
}

test("a right that the file doesn't give is refused, and what comes before the mapping is changed", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  const address = map(process, diskFile(vm, 1, false).file, 1, MapFlag.SHARED, READ);
  expect(errnoOf(mprotect(mm, address, PAGE, RW))).toBe("EACCES");
  expect(errnoOf(mprotect(mm, address, PAGE, READ | Prot.EXEC))).toBe(undefined);
});

test("a hole ends the change with ENOMEM, and what comes before it is changed", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 3);
  run(munmap(mmOf(process), at(1), PAGE));
  expect(errnoOf(mprotect(mmOf(process), at(0), 3 * PAGE, READ))).toBe("ENOMEM");
  expect(layout(process)).toEqual(["0-1 r--p", "2-3 rw-p"]);
});

test("requests that make no sense are refused with the kernel's errnos", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 1);
  expect(errnoOf(mprotect(mm, virtAddr(BASE + 5), PAGE, READ))).toBe("EINVAL");
  expect(errnoOf(mprotect(mm, at(0), PAGE, 0x40))).toBe("EINVAL");
  expect(errnoOf(mprotect(mm, at(5), PAGE, READ))).toBe("ENOMEM");
  expect(errnoOf(mprotect(mm, at(0), PAGE, READ | Prot.GROWSDOWN))).toBe("EINVAL");
  expect(errnoOf(mprotect(mm, at(5), 0, READ))).toBe(undefined);
});

test("PROT_GROWSDOWN reaches down to where the stack begins", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 4, RW, MapFlag.GROWSDOWN);
  run(mprotect(mmOf(process), at(3), PAGE, READ | Prot.GROWSDOWN));
  expect(layout(process)).toEqual(["0-4 r--p"]);
});

test("private memory is promised when it becomes writable, and stays so when it no longer is", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 4, READ);
  expect(vm.commit.pages).toBe(0);
  run(mprotect(mm, at(0), 4 * PAGE, RW));
  expect([vm.commit.pages, mm.dataVm]).toEqual([4, 4]);
  run(mprotect(mm, at(0), 4 * PAGE, READ));
  expect([vm.commit.pages, mm.dataVm]).toEqual([4, 0]);
  run(mprotect(mm, at(0), 4 * PAGE, RW));
  run(munmap(mm, at(0), 4 * PAGE));
  expect(vm.commit.pages).toBe(0);
});

test("those who mirror the range hear of it, and of nothing where no page ever was", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const heard: unknown[] = [];
  const notifier = new MmuNotifier(
    {
      *invalidateRangeStart(_, { start, end, event }: MmuNotifierRange) {
        heard.push([start, end, event]);
        return true;
      },
    },
    undefined,
  );
  run(mmuNotifierRegister(notifier, mm));
  mapPages(process, 0, 4);
  run(mprotect(mm, at(0), 4 * PAGE, READ));
  run(mprotect(mm, at(0), 4 * PAGE, RW));
  expect(heard).toEqual([]);
  write(process, at(1), "x");
  run(mprotect(mm, at(0), 2 * PAGE, READ));
  expect(heard).toEqual([[at(0), at(2), "protection_vma"]]);
});

/** The first page's entry, as others would have left it; the page stays mapped as far as anybody counts. */
function makeNonPresent(process: Process, flags: number): void {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(at(0));
  const page = pageTable.value(entry) as Page;
  pageTable.set(entry, page, flags);
}
