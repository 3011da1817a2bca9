// The kernel's HMM suite, by name: a device that reads and writes a process's memory where it is.
import { runRivals } from "@hetmem/explore";
import { hugetlbPool } from "@hetmem/hugetlb";
import { MiB, run, virtAddr } from "@hetmem/kernel";
import { forkProcess, Madv, MapFlag, mprotect, munmap, Prot } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { createDiskFile, fileRead, fileVmOps, OpenFile } from "@hetmem/page-cache";
import { VmEvent } from "@hetmem/zone";
import { expect } from "vitest";
import { at, BASE, type GpuMachine, gpuMachine, mapAnon } from "@hetmem/test-machines/gpu-machine";
import {
  exit,
  expectBytes,
  hmm,
  HUGE_PAGES,
  HUGETLB,
  load,
  map,
  NPAGES,
  NTIMES,
  PRIVATE,
  read,
  RW,
  SHARED,
  store,
  words,
  write,
} from "./dmirror.ts";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const SIZE = NPAGES * PAGE;
const ALL = { ret: "done", cpages: NPAGES, faults: 1 };
const counting = words(NPAGES, (i) => i);
const negative = words(NPAGES, (i) => -i);

hmm("open_close", ({ machine, fd }) => {
  run(fd.close());
  expect(machine.gpu.contexts.size).toBe(0);
});

hmm("anon_read", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  // The first two pages stay zero: nothing is mapped for the one, the zero page for the other.
  const expected = words(NPAGES, (i) => (i < (2 * PAGE) / 4 ? 0 : i));
  store(process, virtAddr(ptr + 2 * PAGE), expected.subarray(2 * PAGE));
  run(mprotect(mmOf(process), ptr, SIZE, Prot.READ));
  expectBytes(load(process, virtAddr(ptr + PAGE), 1), new Uint8Array(PAGE));
  const mirror = new Uint8Array(SIZE);
  expect(read(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, expected);
});

hmm("anon_read_prot", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  run(mprotect(mmOf(process), ptr, SIZE, Prot.NONE));
  const mirror = negative.slice();
  expect(read(fd, ptr, mirror).ret).toBe("EFAULT");
  run(mprotect(mmOf(process), ptr, SIZE, Prot.READ));
  expectBytes(load(process, ptr, NPAGES), counting);
  expectBytes(mirror, negative);
});

hmm("anon_write", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  expect(write(fd, ptr, counting)).toEqual(ALL);
  expectBytes(load(process, ptr, NPAGES), counting);
});

hmm("anon_write_prot", ({ process, fd }) => {
  const ptr = map(process, NPAGES, Prot.READ, PRIVATE);
  expect(read(fd, ptr, new Uint8Array(PAGE))).toEqual({ ret: "done", cpages: 1, faults: 1 });
  expect(write(fd, ptr, counting).ret).toBe("EPERM");
  expectBytes(load(process, ptr, NPAGES), new Uint8Array(SIZE));
  run(mprotect(mmOf(process), ptr, SIZE, RW));
  expect(write(fd, ptr, counting)).toEqual(ALL);
  expectBytes(load(process, ptr, NPAGES), counting);
});

hmm("anon_write_child", ({ machine, process }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  const child = run(forkProcess(process));
  expectBytes(load(child, ptr, NPAGES), counting);
  const childFd = machine.open(child);
  expect(write(childFd, ptr, negative)).toEqual(ALL);
  expectBytes(load(child, ptr, NPAGES), negative);
  exit(child, [childFd]);
  expectBytes(load(process, ptr, NPAGES), counting);
});

hmm("anon_write_child_shared", ({ machine, process }) => {
  const ptr = map(process, NPAGES, RW, SHARED);
  store(process, ptr, counting);
  const child = run(forkProcess(process));
  expectBytes(load(child, ptr, NPAGES), counting);
  const childFd = machine.open(child);
  expect(write(childFd, ptr, negative)).toEqual(ALL);
  expectBytes(load(child, ptr, NPAGES), negative);
  exit(child, [childFd]);
  expectBytes(load(process, ptr, NPAGES), negative);
});

hmm("anon_write_huge", ({ machine, process, fd }) => {
  const mapped = map(process, NPAGES, RW, PRIVATE);
  const ptr = virtAddr(Math.ceil(mapped / (2 * MiB)) * 2 * MiB);
  run(madvise(mmOf(process), ptr, 2 * MiB, Madv.HUGEPAGE));
  const half = counting.subarray(0, 2 * MiB);
  expect(write(fd, ptr, half)).toEqual({ ret: "done", cpages: 512, faults: 1 });
  expectBytes(load(process, ptr, 512), half);
  // The kernel's case doesn't ask whether it was a huge page.
  expect(machine.memory.allocator.events[VmEvent.thp_fault_alloc]).toBe(1);
});

hmm("anon_write_hugetlbfs", ({ machine, process, fd }) => {
  const ptr = map(process, HUGE_PAGES, RW, HUGETLB);
  const half = counting.subarray(0, 2 * MiB);
  expect(write(fd, ptr, half)).toEqual({ ret: "done", cpages: HUGE_PAGES, faults: 1 });
  expectBytes(load(process, ptr, HUGE_PAGES), half);
  expect(hugetlbPool(machine.vm).counts.free).toBe(0);
  run(munmap(mmOf(process), ptr, 2 * MiB));
  expect(hugetlbPool(machine.vm).counts.free).toBe(1);
});

hmm("file_read", ({ machine, process, fd }) => {
  const inode = createDiskFile(machine.vm, 100, counting);
  const file = new OpenFile(inode, { path: "/tmp/hmm", writable: true, vmOps: fileVmOps });
  const ptr = map(process, NPAGES, Prot.READ, MapFlag.SHARED, file);
  const mirror = new Uint8Array(SIZE);
  expect(read(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, counting);
});

hmm("file_write", ({ machine, process, fd }) => {
  const inode = createDiskFile(machine.vm, 100, new Uint8Array(SIZE));
  const file = new OpenFile(inode, { path: "/tmp/hmm", writable: true, vmOps: fileVmOps });
  const ptr = map(process, NPAGES, RW, MapFlag.SHARED, file);
  expect(write(fd, ptr, counting)).toEqual(ALL);
  expectBytes(load(process, ptr, NPAGES), counting);
  expectBytes(run(fileRead(file, 0, SIZE)), counting);
});

hmm("anon_read_multiple", ({ process, fd }) => {
  for (let c = 0; c < NTIMES; c++) {
    const ptr = map(process, NPAGES, RW, PRIVATE);
    const expected = words(NPAGES, (i) => i + c);
    store(process, ptr, expected);
    const mirror = new Uint8Array(SIZE);
    expect(read(fd, ptr, mirror)).toEqual(ALL);
    expectBytes(mirror, expected);
    run(munmap(mmOf(process), ptr, SIZE));
  }
});

/** The kernel waits at random and unmaps half of the buffer in another thread; here each seed is another order. */
hmm("anon_teardown", ({ coherent }) => {
  const pages = 64;
  const { endings } = runRivals(
    (seed) => {
      const machine: GpuMachine = gpuMachine({ memoryType: coherent ? "coherent" : "private" });
      const process = machine.spawn();
      mapAnon(process, pages);
      const fd = machine.open(process);
      const expected = words(pages, (i) => i + seed);
      store(process, BASE, expected);
      const mirror = new Uint8Array(pages * PAGE);
      return {
        kernel: machine.kernel,
        tasks: {
          *read() {
            yield* fd.read(BASE, mirror);
            expectBytes(mirror, expected);
          },
          unmap: () => munmap(mmOf(process), at(pages / 2), (pages / 2) * PAGE),
        },
        afterStep: () => {},
        afterwards: () => machine.check(),
      };
    },
    { schedules: 20 * NTIMES },
  );
  expect([...endings.keys()].sort()).toEqual(["read: EFAULT", "read: done", "unmap: done"]);
});
