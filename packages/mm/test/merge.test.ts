import { run } from "@hetmem/kernel";
import { diskFile, read, RW, write } from "@hetmem/test-machines/files";
import { at, expectSound, layout, mapPages, vmaAt } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { madvise } from "@hetmem/madvise";
import { Madv, MapFlag } from "../src/vma/map-flags.ts";
import { mmap } from "../src/vma/mmap.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { munmap } from "../src/vma/munmap.ts";
import { Prot, VmFlag } from "../src/vma/vm-flags.ts";

const { READ } = Prot;

test("a mapping between two that are like it becomes one with both", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 2);
  mapPages(process, 4, 2);
  mapPages(process, 2, 2);
  expect(layout(process)).toEqual(["0-6 rw-p"]);
});

test("parts of a file are merged only where its pages go on", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 8);
  const place = (page: number, offset: number): void => {
    const flags = MapFlag.SHARED | MapFlag.FIXED;
    run(
      mmap(mmOf(process), { file, address: at(page), length: PAGE, prot: RW, flags, offset: offset * PAGE }),
    );
  };
  place(1, 4);
  place(2, 6);
  place(0, 3);
  expect(layout(process)).toEqual(["0-2 rw-s", "2-3 rw-s"]);
  expect(vmaAt(process, 0).pgoff).toBe(3);
  expect(file.mapping.iMmap.size).toBe(2);
});

// The cases of vma_merge() in mm/mmap.c, by number.
for (const [name, protections, [first, pages, prot], merged] of [
  ["1 and 6: what was between two becomes as they are", "r w r", [1, 1, READ], ["0-3 r--p"]],
  ["2 and 7: what is above becomes as what is below", "r w -", [1, 1, READ], ["0-2 r--p"]],
  ["5: the first part of what is above does", "r ww -", [1, 1, READ], ["0-2 r--p", "2-3 rw-p"]],
  ["8: what is below becomes as what is above", "w r -", [0, 1, READ], ["0-2 r--p"]],
  ["4: the last part of what is below does", "ww r -", [1, 1, READ], ["0-1 rw-p", "1-3 r--p"]],
  ["none: a part in the middle is divided off", "www -", [1, 1, READ], ["0-1 rw-p", "1-2 r--p", "2-3 rw-p"]],
] as const) {
  test(`mprotect, case ${name}`, () => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    mapRun(process, protections);
    run(mprotect(mmOf(process), at(first), pages * PAGE, prot));
    expect(layout(process)).toEqual(merged);
    expectSound(vm);
  });
}

test("pages of both sides are found by reverse mapping after their mappings were merged", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 3);
  for (let i = 0; i < 3; i++) write(process, at(i), `page ${i}`);
  run(mprotect(mmOf(process), at(1), PAGE, READ));
  expect(layout(process)).toHaveLength(3);
  run(mprotect(mmOf(process), at(1), PAGE, RW));
  expect(layout(process)).toEqual(["0-3 rw-p"]);
  expectSound(vm);
  expect(read(process, at(1), 6)).toBe("page 1");
});

test("a mapping that is written after it was divided off shares its neighbour's family, and merges with it again", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 2);
  run(mprotect(mmOf(process), at(0), PAGE, RW | Prot.EXEC));
  write(process, at(0), "x");
  write(process, at(1), "y");
  expect(vmaAt(process, 0).anonVma).toBe(vmaAt(process, 1).anonVma);
  run(mprotect(mmOf(process), at(0), PAGE, RW));
  expect(layout(process)).toEqual(["0-2 rw-p"]);
  expectSound(vm);
});

test("a part with pages isn't merged with a neighbour that never had any, the other way round it is", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 3);
  write(process, at(1), "x");
  run(mprotect(mmOf(process), at(0), PAGE, READ));
  run(mprotect(mmOf(process), at(2), PAGE, READ));
  for (const page of [0, 2]) vmaAt(process, page).mm.vm.anonVmas.unlink(vmaAt(process, page));
  run(mprotect(mmOf(process), at(1), PAGE, READ));
  expect(layout(process)).toEqual(["0-1 r--p", "1-2 r--p", "2-3 r--p"]);
  run(mprotect(mmOf(process), at(0), PAGE, RW));
  run(mprotect(mmOf(process), at(0), PAGE, READ));
  expect(layout(process)).toEqual(["0-2 r--p", "2-3 r--p"]);
});

test("mappings with pages of different families stay apart", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  mapPages(process, 2, 1);
  write(process, at(0), "x");
  write(process, at(2), "x");
  mapPages(process, 1, 1);
  // The upper neighbour is looked at first.
  expect(layout(process)).toEqual(["0-1 rw-p", "1-3 rw-p"]);
});

test("a child's mapping, which has its parent's family too, doesn't grow by mmap() next to it", () => {
  const { spawn } = vmMachine();
  const parent = spawn();
  mapPages(parent, 0, 1);
  write(parent, at(0), "x");
  const child = run(forkProcess(parent));
  mapPages(child, 1, 1);
  expect(layout(child)).toEqual(["0-1 rw-p", "1-2 rw-p"]);
  mapPages(parent, 1, 1);
  expect(layout(parent)).toEqual(["0-2 rw-p"]);
});

test("a driver that counts its mappings has them to itself", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  vmaAt(process, 0).ops = { close: () => {} };
  mapPages(process, 1, 1);
  expect(layout(process)).toEqual(["0-1 rw-p", "1-2 rw-p"]);
});

test("advice divides a mapping, and is merged when the rest gets it too", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 4);
  run(madvise(mm, at(1), PAGE, Madv.DONTFORK));
  expect(layout(process)).toHaveLength(3);
  run(madvise(mm, at(0), 4 * PAGE, Madv.DONTFORK));
  expect(layout(process)).toHaveLength(1);
  expect(vmaAt(process, 0).flags & VmFlag.DONTCOPY).not.toBe(0);
});

test("a gap that is filled after munmap() closes without a trace", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 3);
  run(munmap(mmOf(process), at(1), PAGE));
  mapPages(process, 1, 1);
  expect(layout(process)).toEqual(["0-3 rw-p"]);
});

/** Mappings next to each other, one a word: w writable, r readable, a letter a page. All were writable once. */
function mapRun(process: Process, words: string): void {
  const letters = words.replaceAll(/[ -]/gu, "");
  mapPages(process, 0, letters.length);
  for (const [page, letter] of [...letters].entries())
    if (letter === "r") run(mprotect(mmOf(process), at(page), PAGE, READ));
}
