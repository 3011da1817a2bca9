// The kernel's HMM suite, by name: what a device is told of a process's page tables without a fault.
import { run, virtAddr } from "@hetmem/kernel";
import { MapFlag, mprotect, munmap, Prot } from "@hetmem/mm";
import { expect } from "vitest";
import { DmirrorProt, GpuDeviceFile } from "../../src/driver/index.ts";
import {
  hmm,
  hmm2,
  HUGE_PAGES,
  HUGETLB,
  load,
  map,
  migrateSysToDev,
  PRIVATE,
  read,
  RW,
  snapshot,
  store,
  words,
  expectBytes,
} from "./dmirror.ts";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

hmm("mixedmap", ({ machine, process, fd }) => {
  const file = new GpuDeviceFile("gpu0", 0, machine.gpu);
  const ptr = map(process, 1, RW, MapFlag.PRIVATE, file);
  expect(snapshot(fd, ptr, 1)).toEqual([DmirrorProt.read]);
});

hmm2("snapshot", ({ coherent, process, fds: [fd0, fd1] }) => {
  if (!fd0 || !fd1) throw new Error("the fixture has two devices");
  const mm = mmOf(process);
  const ptr = map(process, 7, Prot.NONE, PRIVATE);
  const page = (n: number): typeof ptr => virtAddr(ptr + n * PAGE);
  run(munmap(mm, page(1), PAGE));
  run(mprotect(mm, page(2), PAGE, Prot.READ));
  expectBytes(load(process, page(2), 1), new Uint8Array(PAGE));
  run(mprotect(mm, page(3), PAGE, RW));
  store(process, page(3), Uint8Array.of(3));
  run(mprotect(mm, page(3), PAGE, Prot.READ));
  run(mprotect(mm, page(4), 3 * PAGE, RW));
  store(process, page(4), Uint8Array.of(3));
  const one = { ret: "done", cpages: 1, faults: 0 };
  expect(migrateSysToDev(fd0, page(5), new Uint8Array(PAGE))).toEqual(one);
  expect(migrateSysToDev(fd1, page(6), new Uint8Array(PAGE))).toEqual(one);
  const { error, none, read: reads, write: writes, zero } = DmirrorProt;
  expect(snapshot(fd0, ptr, 7)).toEqual([
    error,
    error,
    zero | reads,
    reads,
    writes,
    (coherent ? DmirrorProt.devCoherentLocal : DmirrorProt.devPrivateLocal) | writes,
    // What another device has in private memory, this one can't reach.
    coherent ? DmirrorProt.devCoherentRemote | writes : none,
  ]);
});

hmm("compound", ({ process, fd }) => {
  const ptr = map(process, HUGE_PAGES, RW, HUGETLB);
  store(
    process,
    ptr,
    words(HUGE_PAGES, (i) => i),
  );
  const whole = (access: number): number[] =>
    Array.from({ length: HUGE_PAGES }, () => access | DmirrorProt.pmd);
  expect(snapshot(fd, ptr, HUGE_PAGES)).toEqual(whole(DmirrorProt.write));
  run(mprotect(mmOf(process), ptr, HUGE_PAGES * PAGE, Prot.READ));
  expect(snapshot(fd, ptr, HUGE_PAGES)).toEqual(whole(DmirrorProt.read));
});

hmm2("double_map", ({ process, fds: [fd0, fd1] }) => {
  if (!fd0 || !fd1) throw new Error("the fixture has two devices");
  const pages = 6;
  const counting = words(pages, (i) => i);
  const ptr = map(process, pages, RW, PRIVATE);
  store(process, ptr, counting);
  run(mprotect(mmOf(process), ptr, pages * PAGE, Prot.READ));
  for (const fd of [fd0, fd1]) {
    const mirror = new Uint8Array(pages * PAGE);
    expect(read(fd, ptr, mirror)).toEqual({ ret: "done", cpages: pages, faults: 1 });
    expectBytes(mirror, counting);
  }
  expect(migrateSysToDev(fd1, ptr, new Uint8Array(pages * PAGE))).toEqual({
    ret: "done",
    cpages: pages,
    faults: 0,
  });
  const mirror = new Uint8Array(pages * PAGE);
  expect(read(fd0, ptr, mirror)).toEqual({ ret: "done", cpages: pages, faults: 1 });
  expectBytes(mirror, counting);
});
