// The kernel's HMM suite, by name: pages that go to a device and come back.
import { run, virtAddr } from "@hetmem/kernel";
import { MapFlag, mprotect, munmap, Prot } from "@hetmem/mm";
import { createDiskFile, fileVmOps, OpenFile } from "@hetmem/page-cache";
import { expect } from "vitest";
import {
  expectBytes,
  hmm,
  hmm2,
  load,
  map,
  migrateDevToSys,
  migrateSysToDev,
  NPAGES,
  NTIMES,
  PRIVATE,
  RW,
  SHARED,
  store,
  words,
} from "./dmirror.ts";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const SIZE = NPAGES * PAGE;
const ALL = { ret: "done", cpages: NPAGES, faults: 0 };
const counting = words(NPAGES, (i) => i);

hmm("migrate", ({ machine, process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  const mirror = new Uint8Array(SIZE);
  expect(migrateSysToDev(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, counting);
  expect(machine.gpu.memory.usedPages).toBe(NPAGES);
});

hmm("migrate_file_private", ({ machine, process, fd }) => {
  const inode = createDiskFile(machine.vm, 100, new Uint8Array(SIZE));
  const file = new OpenFile(inode, { path: "/tmp/hmm", writable: true, vmOps: fileVmOps });
  const ptr = map(process, NPAGES, RW, MapFlag.PRIVATE, file);
  store(process, ptr, counting);
  const mirror = new Uint8Array(SIZE);
  expect(migrateSysToDev(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, counting);
});

hmm("migrate_fault", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  const mirror = new Uint8Array(SIZE);
  expect(migrateSysToDev(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, counting);
  expectBytes(load(process, ptr, NPAGES / 2), counting.subarray(0, SIZE / 2));
  mirror.fill(0);
  expect(migrateSysToDev(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, counting);
});

hmm("migrate_release", ({ machine, process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  expect(migrateSysToDev(fd, ptr, new Uint8Array(SIZE))).toEqual(ALL);
  run(machine.gpu.releaseMemory());
  expectBytes(load(process, ptr, NPAGES), counting);
});

hmm("migrate_shared", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, SHARED);
  expect(migrateSysToDev(fd, ptr, new Uint8Array(SIZE)).ret).toBe("ENOENT");
});

hmm2("migrate_mixed", ({ process, fds: [, fd1], fd: fd0 }) => {
  if (!fd1) throw new Error("the fixture has two devices");
  const mm = mmOf(process);
  const ptr = map(process, 6, Prot.NONE, PRIVATE);
  const page = (n: number): typeof ptr => virtAddr(ptr + n * PAGE);
  expect(migrateSysToDev(fd1, ptr, new Uint8Array(6 * PAGE)).ret).toBe("EINVAL");
  run(munmap(mm, page(1), PAGE));
  expect(migrateSysToDev(fd1, ptr, new Uint8Array(3 * PAGE)).ret).toBe("EINVAL");
  // Page 2 is the zero page, read only; page 3 is read only; 4 and 5 can be written.
  run(mprotect(mm, page(2), PAGE, Prot.READ));
  expectBytes(load(process, page(2), 1), new Uint8Array(PAGE));
  run(mprotect(mm, page(3), PAGE, RW));
  store(process, page(3), Uint8Array.of(3));
  run(mprotect(mm, page(3), PAGE, Prot.READ));
  run(mprotect(mm, page(4), 2 * PAGE, RW));
  store(process, page(4), Uint8Array.of(3));
  store(process, page(5), Uint8Array.of(3));
  const mirror = new Uint8Array(4 * PAGE);
  expect(migrateSysToDev(fd1, page(2), mirror)).toEqual({ ret: "done", cpages: 4, faults: 0 });
  expect([0, 1, 2, 3].map((n) => mirror[n * PAGE])).toEqual([0, 3, 3, 3]);
  expect(migrateSysToDev(fd0, page(5), new Uint8Array(PAGE)).ret).toBe("ENOENT");
});

hmm("migrate_multiple", ({ coherent, process, fd }) => {
  for (let c = 0; c < NTIMES; c++) {
    const ptr = map(process, NPAGES, RW, PRIVATE);
    store(process, ptr, counting);
    const mirror = new Uint8Array(SIZE);
    expect(migrateSysToDev(fd, ptr, mirror)).toEqual(ALL);
    expectBytes(mirror, counting);
    // The cpu reaches coherent memory, and wouldn't bring it back.
    if (coherent) expect(migrateDevToSys(fd, ptr, NPAGES)).toEqual(ALL);
    expectBytes(load(process, ptr, NPAGES), counting);
    run(munmap(mmOf(process), ptr, SIZE));
  }
});
