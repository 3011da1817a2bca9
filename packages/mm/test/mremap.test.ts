import { KernelError, type Page, run, virtAddr } from "@hetmem/kernel";
import { EntryKind, Pte } from "@hetmem/page-table";
import { diskFile, map, read, readSignal, RW, write } from "@hetmem/test-machines/files";
import {
  at,
  entryFlags,
  errnoOf,
  expectSound,
  layout,
  mapPages,
  vmaAt,
} from "@hetmem/test-machines/mappings";
import { hugeAt, hugeMachine, PARTS, withHuge } from "@hetmem/test-machines/thp";
import { mmOf, ORDINARY, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { forkProcess } from "../src/process/fork.ts";
import { MapFlag, MremapFlag } from "../src/vma/map-flags.ts";
import { mlock } from "../src/vma/mlock.ts";
import { mmap } from "../src/vma/mmap.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { mremap, type MremapRequest } from "../src/vma/mremap.ts";
import { Prot, VmFlag } from "../src/vma/vm-flags.ts";

const { MAYMOVE, FIXED, DONTUNMAP } = MremapFlag;

/** From a page of the region, of `from` pages, to `to` pages. */
function request(page: number, from: number, to: number, flags = 0): MremapRequest {
  return { address: at(page), oldLength: from * PAGE, newLength: to * PAGE, flags };
}

test("a mapping that gets shorter loses its last pages", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 4);
  write(process, at(3), "x");
  expect(run(mremap(mmOf(process), request(0, 4, 2)))).toBe(at(0));
  expect(layout(process)).toEqual(["0-2 rw-p"]);
  expect(mmOf(process).rssPages).toBe(0);
});

test("a mapping grows where it is, and merges with what it reaches", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 2);
  write(process, at(1), "kept");
  expect(run(mremap(mm, request(0, 2, 5)))).toBe(at(0));
  expect(layout(process)).toEqual(["0-5 rw-p"]);
  expect([mm.totalVm, mm.dataVm, vm.commit.pages]).toEqual([5, 5, 5]);
  expect(read(process, at(1), 4)).toBe("kept");
});

test("a mapping that can't grow where it is moves if it may, with all that its entries hold", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 3);
  mapPages(process, 3, 1, Prot.READ);
  for (let i = 0; i < 3; i++) write(process, at(i), `page ${i}`);
  expect(errnoOf(mremap(mm, request(0, 3, 5)))).toBe("ENOMEM");
  const moved = run(mremap(mm, request(0, 3, 5, MAYMOVE)));
  expect(moved).toBe(mm.mmapBase - 5 * PAGE);
  for (let i = 0; i < 3; i++) expect(read(process, moved + i * PAGE, 6)).toBe(`page ${i}`);
  expect(layout(process)[0]).toBe("3-4 r--p");
  expect([mm.totalVm, mm.rssPages, vm.commit.pages]).toEqual([6, 3, 5]);
  expectSound(vm);
});

test("the part of a mapping that moves leaves the rest promised, and takes its own promise along", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 6);
  for (let i = 0; i < 6; i++) write(process, at(i), `page ${i}`);
  run(mremap(mmOf(process), { ...request(2, 2, 2, MAYMOVE | FIXED), newAddress: at(20) }));
  expect(layout(process)).toEqual(["0-2 rw-p", "4-6 rw-p", "20-22 rw-p"]);
  expect(vm.commit.pages).toBe(6);
  expect(read(process, at(21), 6)).toBe("page 3");
  expect(readSignal(process, at(3))?.code).toBe("SEGV_MAPERR");
  expectSound(vm);
});

test("MREMAP_FIXED replaces what is at the new place", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  mapPages(process, 10, 3);
  write(process, at(0), "new");
  write(process, at(10), "old");
  run(mremap(mmOf(process), { ...request(0, 1, 1, MAYMOVE | FIXED), newAddress: at(10) }));
  expect(read(process, at(10), 3)).toBe("new");
  expect(mmOf(process).rssPages).toBe(1);
});

test("MREMAP_DONTUNMAP leaves a mapping without pages behind, promised twice", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 2);
  write(process, at(0), "moved");
  const moved = run(mremap(mmOf(process), request(0, 2, 2, MAYMOVE | DONTUNMAP)));
  expect(read(process, moved, 5)).toBe("moved");
  expect(read(process, at(0), 5)).toBe("\0\0\0\0\0");
  expect(vmaAt(process, 0).anonVma).toBe(undefined);
  expect([vm.commit.pages, mmOf(process).totalVm]).toEqual([4, 4]);
  expectSound(vm);
});

test("shared memory can be mapped a second time by an old length of 0, private memory can't", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  const first = map(process, undefined, 2, MapFlag.SHARED);
  write(process, first, "both");
  const again = run(mremap(mm, { address: first, oldLength: 0, newLength: 2 * PAGE, flags: MAYMOVE }));
  expect(again).not.toBe(first);
  expect(read(process, again, 4)).toBe("both");
  mapPages(process, 0, 1);
  expect(errnoOf(mremap(mm, request(0, 0, 1, MAYMOVE)))).toBe("EINVAL");
  expectSound(vm);
});

test("a file's mapping still shows the file's pages after it has moved", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const address = map(process, diskFile(vm, 4).file, 2, MapFlag.SHARED);
  map(process, undefined, 1, MapFlag.PRIVATE);
  read(process, address, 1);
  const newAddress = at(0);
  run(
    mremap(mmOf(process), {
      address,
      oldLength: 2 * PAGE,
      newLength: 4 * PAGE,
      flags: MAYMOVE | FIXED,
      newAddress,
    }),
  );
  expect(read(process, at(3), 6)).toBe("page 3");
  expect(read(process, at(0), 6)).toBe("page 0");
  expectSound(vm);
});

test("entries that aren't present move too", () => {
  const process = vmMachine().spawn();
  const { pageTable } = mmOf(process);
  mapPages(process, 0, 2);
  write(process, at(0), "x");
  const entry = pageTable.find(at(1));
  pageTable.set(entry, 77, EntryKind.devicePrivateWrite);
  run(mremap(mmOf(process), { ...request(0, 2, 2, MAYMOVE | FIXED), newAddress: at(1024) }));
  const moved = pageTable.find(at(1025));
  expect(pageTable.value(moved) as Page).toBe(77);
  expect(pageTable.flags(moved)).toBe(EntryKind.devicePrivateWrite | Pte.softDirty);
  expect(entryFlags(process, at(1))).toBe(0);
});

test("pages that a child shares are found in both after the parent's have moved", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  mapPages(parent, 0, 700);
  for (let i = 0; i < 700; i += 50) write(parent, at(i), `page ${i}`);
  const child = run(forkProcess(parent));
  const moved = run(mremap(mmOf(parent), { ...request(0, 700, 700, MAYMOVE | FIXED), newAddress: at(1000) }));
  expectSound(vm);
  write(child, at(350), "child's ");
  expect(read(parent, moved + 350 * PAGE, 8)).toBe("page 350");
  expect(read(child, at(650), 8)).toBe("page 650");
});

test("what was never touched gets the offsets of its new place, and merges there", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  mapPages(process, 10, 1);
  run(mremap(mmOf(process), { ...request(0, 1, 1, MAYMOVE | FIXED), newAddress: at(11) }));
  expect(layout(process)).toEqual(["10-12 rw-p"]);
});

test("when the driver refuses the new place, everything is as it was", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 2);
  write(process, at(0), "stays");
  const before = [vm.commit.pages, mmOf(process).totalVm];
  vmaAt(process, 0).ops = {
    mremap() {
      throw new KernelError("EACCES", "not there");
    },
  };
  const call = mremap(mmOf(process), { ...request(0, 2, 3, MAYMOVE | FIXED), newAddress: at(10) });
  expect(errnoOf(call)).toBe("EACCES");
  vmaAt(process, 0).ops = undefined;
  expect(layout(process)).toEqual(["0-2 rw-p"]);
  expect(read(process, at(0), 5)).toBe("stays");
  expect([vm.commit.pages, mmOf(process).totalVm]).toEqual(before);
  expectSound(vm);
});

test("locked pages are counted once wherever they are", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 2);
  run(mlock(mm, at(0), 2 * PAGE));
  run(mremap(mm, { ...request(0, 2, 4, MAYMOVE | FIXED), newAddress: at(10) }));
  expect(mm.lockedVm).toBe(4);
  // What has grown is brought in.
  expect(mm.rssPages).toBe(4);
  const kept = run(mremap(mm, request(10, 4, 4, MAYMOVE | DONTUNMAP)));
  expect(mm.lockedVm).toBe(4);
  expect((mm.vmas.at(kept)?.flags ?? 0) & VmFlag.LOCKED).toBe(VmFlag.LOCKED);
  expect(vmaAt(process, 10).flags & VmFlag.LOCKED).toBe(0);
});

test("requests that contradict themselves are refused with the kernel's errnos", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  mapPages(process, 0, 2);
  mapPages(process, 2, 1, Prot.READ);
  const refusal = (what: Partial<MremapRequest>): string | undefined =>
    errnoOf(mremap(mm, { ...request(0, 2, 2), ...what }));
  expect(refusal({ flags: 8 })).toBe("EINVAL");
  expect(refusal({ flags: FIXED })).toBe("EINVAL");
  expect(refusal({ flags: DONTUNMAP })).toBe("EINVAL");
  expect(refusal({ flags: MAYMOVE | DONTUNMAP, newLength: PAGE })).toBe("EINVAL");
  expect(refusal({ address: virtAddr(at(0) + 1) })).toBe("EINVAL");
  expect(refusal({ newLength: 0 })).toBe("EINVAL");
  expect(refusal({ address: at(9) })).toBe("EFAULT");
  expect(refusal({ oldLength: 3 * PAGE, newLength: 4 * PAGE, flags: MAYMOVE })).toBe("EFAULT");
  expect(refusal({ flags: MAYMOVE | FIXED, newAddress: at(1) })).toBe("EINVAL");
  expect(refusal({ flags: MAYMOVE | FIXED, newAddress: 2 ** 47 })).toBe("EINVAL");
});

test("a device's mapping doesn't grow", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  vmaAt(process, 0).flags |= VmFlag.DONTEXPAND;
  expect(errnoOf(mremap(mmOf(process), request(0, 1, 2, MAYMOVE)))).toBe("EFAULT");
  expect(errnoOf(mremap(mmOf(process), request(0, 1, 1, MAYMOVE | DONTUNMAP)))).toBe("EINVAL");
});

test("limits hold for mappings that grow", () => {
  const process = vmMachine({ rlimits: { as: 3 * PAGE, memlock: 2 * PAGE } }).spawn();
  process.credentials = ORDINARY;
  const mm = mmOf(process);
  mapPages(process, 0, 2);
  expect(errnoOf(mremap(mm, request(0, 2, 4, MAYMOVE)))).toBe("ENOMEM");
  run(mlock(mm, at(0), 2 * PAGE));
  expect(errnoOf(mremap(mm, request(0, 2, 3, MAYMOVE)))).toBe("EAGAIN");
  run(mprotect(mm, at(0), 2 * PAGE, Prot.READ));
  expect(errnoOf(mmap(mm, { length: 2 * PAGE, prot: RW, flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS }))).toBe(
    "ENOMEM",
  );
});

test.each(["anonymous memory", "a file"])(
  "entries of %s stay where they are while a walk of the reverse mapping is under way: it finds each page once",
  (what) => {
    const { vm, spawn } = vmMachine();
    const process = spawn();
    if (what === "a file")
      run(
        mmap(mmOf(process), {
          address: at(0),
          length: 2 * PAGE,
          prot: RW,
          flags: MapFlag.SHARED | MapFlag.FIXED,
          file: diskFile(vm, 2).file,
        }),
      );
    else mapPages(process, 0, 2);
    write(process, at(0), "x");
    const { anonVma, file } = vmaAt(process, 0);
    const lock = file?.mapping?.iMmapRwsem ?? anonVma?.rwsem;
    if (!lock) throw new Error("nothing to walk by");
    const move = mremap(mmOf(process), { ...request(0, 2, 2, MAYMOVE | FIXED), newAddress: at(1024) });
    // The walk begins when the new mapping is there and its entries have still to move.
    let step = move.next();
    while (mmOf(process).vmas.at(at(1024)) === undefined && !step.done) step = move.next();
    run(lock.downRead());
    while (!step.done && step.value.ready()) step = move.next();
    expect(step.done).toBe(false);
    expect(entryFlags(process, at(0))).not.toBe(0);
    lock.upRead();
    run(move);
    expect([entryFlags(process, at(0)), read(process, at(1024), 1)]).toEqual([0, "x"]);
  },
);

test("the entry of a huge page stays where it is while a walk of the reverse mapping is under way", () => {
  const process = hugeMachine().spawn();
  const mm = mmOf(process);
  withHuge(process);
  const head = hugeAt(process, at(0));
  const lock = vmaAt(process, 0).anonVma?.rwsem;
  const move = mremap(mm, { ...request(0, PARTS, PARTS, MAYMOVE | FIXED), newAddress: at(2 * PARTS) });
  let step = move.next();
  while (mm.vmas.at(at(2 * PARTS)) === undefined && !step.done) step = move.next();
  if (!lock) throw new Error("nothing to walk by");
  run(lock.downRead());
  while (!step.done && step.value.ready()) step = move.next();
  expect([step.done, hugeAt(process, at(0))]).toEqual([false, head]);
  lock.upRead();
  run(move);
  expect([hugeAt(process, at(0)), hugeAt(process, at(2 * PARTS))]).toEqual([undefined, head]);
});
