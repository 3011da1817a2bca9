import { GiB, KernelError, MiB, run, virtAddr } from "@hetmem/kernel";
import { Pte } from "@hetmem/page-table";
import { diskFile, map, read, readSignal, RW, write } from "@hetmem/test-machines/files";
import {
  at,
  entryFlags,
  errnoOf,
  expectSound,
  layout,
  mapPages,
  presentPages,
} from "@hetmem/test-machines/mappings";
import { mmOf, ORDINARY, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import type { FileObject } from "../src/file/file-object.ts";
import { ROOT } from "../src/process/credentials.ts";
import { forkProcess } from "../src/process/fork.ts";
import { remapPfnRange, vmInsertPage } from "../src/vma/device-mapping.ts";
import { MapFlag } from "../src/vma/map-flags.ts";
import { mmap } from "../src/vma/mmap.ts";
import { munmap } from "../src/vma/munmap.ts";
import { installSpecialMapping } from "../src/vma/special-mapping.ts";
import { Prot, VmFlag } from "../src/vma/vm-flags.ts";

const ANON = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
const REGISTERS: FileObject = {
  path: "/dev/registers",
  inode: 5,
  device: { major: 0, minor: 6 },
  writable: true,
  mapping: undefined,
  vmOps: {},
};

test("mappings without an address are put below each other, and become one", () => {
  const { spawn } = vmMachine();
  const process = spawn();
  const first = map(process, undefined, 2, MapFlag.PRIVATE);
  const second = map(process, undefined, 3, MapFlag.PRIVATE);
  expect(first).toBe(mmOf(process).mmapBase - 2 * PAGE);
  expect(second).toBe(first - 3 * PAGE);
  expect(mmOf(process).vmas.count).toBe(1);
  expect(mmOf(process).totalVm).toBe(5);
});

test("the highest gap that is large enough is taken", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const top = map(process, undefined, 10, MapFlag.PRIVATE);
  run(munmap(mm, virtAddr(top + 2 * PAGE), 3 * PAGE));
  expect(map(process, undefined, 4, MapFlag.PRIVATE)).toBe(top - 4 * PAGE);
  expect(map(process, undefined, 3, MapFlag.PRIVATE)).toBe(top + 2 * PAGE);
});

test("a free address that is wished for is where the mapping goes, and one that isn't free is ignored", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const wish = { address: at(7) + 12, length: PAGE, prot: RW, flags: ANON };
  expect(run(mmap(mm, wish))).toBe(at(7));
  expect(run(mmap(mm, wish))).toBe(mm.mmapBase - PAGE);
});

test("MAP_FIXED replaces what is there, MAP_FIXED_NOREPLACE is refused", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 4);
  write(process, at(1), "old");
  mapPages(process, 1, 2, Prot.READ);
  expect(layout(process)).toEqual(["0-1 rw-p", "1-3 r--p", "3-4 rw-p"]);
  expect(read(process, at(1), 3)).toBe("\0\0\0");
  const request = { address: at(3), length: 4 * PAGE, prot: RW, flags: ANON | MapFlag.FIXED_NOREPLACE };
  expect(errnoOf(mmap(mmOf(process), request))).toBe("EEXIST");
  expect(run(mmap(mmOf(process), { ...request, address: at(4) }))).toBe(at(4));
});

test("requests that contradict themselves are refused with the kernel's errnos", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const { file } = diskFile(mm.vm, 1, false);
  const refusal = (request: object): string | undefined =>
    errnoOf(mmap(mm, { length: PAGE, prot: RW, flags: ANON, ...request }));
  expect(refusal({ length: 0 })).toBe("EINVAL");
  expect(refusal({ flags: MapFlag.ANONYMOUS })).toBe("EINVAL");
  expect(refusal({ flags: MapFlag.ANONYMOUS | MapFlag.SHARED_VALIDATE })).toBe("EINVAL");
  expect(refusal({ flags: MapFlag.ANONYMOUS | MapFlag.SHARED | MapFlag.GROWSDOWN })).toBe("EINVAL");
  expect(refusal({ file, flags: MapFlag.PRIVATE, offset: 17 })).toBe("EINVAL");
  expect(refusal({ file, flags: MapFlag.PRIVATE | MapFlag.GROWSDOWN })).toBe("EINVAL");
  expect(refusal({ file, flags: MapFlag.SHARED })).toBe("EACCES");
  expect(refusal({ file, flags: MapFlag.SHARED_VALIDATE | MapFlag.SYNC, prot: Prot.READ })).toBe(
    "EOPNOTSUPP",
  );
  expect(refusal({ file, flags: MapFlag.SHARED | MapFlag.SYNC, prot: Prot.READ })).toBe(undefined);
  expect(refusal({ address: at(0) + 1, flags: ANON | MapFlag.FIXED })).toBe("EINVAL");
  expect(refusal({ length: 2 ** 47, flags: ANON | MapFlag.NORESERVE })).toBe("ENOMEM");
  expect(refusal({ flags: ANON | MapFlag.HUGETLB })).toBe("ENOMEM");
});

test("below vm.mmap_min_addr maps only who has CAP_SYS_RAWIO: EPERM for others", () => {
  const process = vmMachine().spawn();
  const low = { address: virtAddr(0x1000), length: PAGE, prot: RW, flags: ANON | MapFlag.FIXED };
  process.credentials = ORDINARY;
  expect(errnoOf(mmap(mmOf(process), low))).toBe("EPERM");
  process.credentials = ROOT;
  expect(run(mmap(mmOf(process), low))).toBe(0x1000);
});

test("a shared mapping of a file that isn't open for writing can never become writable", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const address = map(process, diskFile(vm, 1, false).file, 1, MapFlag.SHARED, Prot.READ);
  const flags = mmOf(process).vmas.at(address)?.flags ?? 0;
  expect(flags & (VmFlag.MAYWRITE | VmFlag.SHARED | VmFlag.MAYSHARE)).toBe(VmFlag.MAYSHARE);
});

test("mappings beyond vm.max_map_count are refused", () => {
  const process = vmMachine({ tunables: { maxMapCount: 3 } }).spawn();
  // One more than the limit: mmap() looks before it maps.
  for (let i = 0; i < 4; i++) mapPages(process, i * 2, 1);
  const more = { address: at(20), length: PAGE, prot: RW, flags: ANON | MapFlag.FIXED };
  expect(errnoOf(mmap(mmOf(process), more))).toBe("ENOMEM");
});

test("RLIMIT_AS counts what MAP_FIXED replaces only once", () => {
  const process = vmMachine({ rlimits: { as: 4 * PAGE } }).spawn();
  mapPages(process, 0, 4);
  mapPages(process, 0, 4, Prot.READ);
  const more = { address: at(2), length: 3 * PAGE, prot: RW, flags: ANON | MapFlag.FIXED };
  expect(errnoOf(mmap(mmOf(process), more))).toBe("ENOMEM");
  expect(layout(process)).toEqual(["0-4 r--p"]);
});

test("MAP_POPULATE brings in all pages, and MAP_POPULATE with MAP_NONBLOCK none", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 3, RW, MapFlag.POPULATE);
  mapPages(process, 3, 3, RW, MapFlag.POPULATE | MapFlag.NONBLOCK);
  expect(presentPages(process, 6)).toBe(3);
  expect(mmOf(process).rssPages).toBe(3);
});

test("shared anonymous memory is the child's too", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  const address = map(parent, undefined, 2, MapFlag.SHARED);
  write(parent, address, "before");
  const child = run(forkProcess(parent));
  write(child, address + PAGE, "after");
  expect(read(child, address, 6)).toBe("before");
  expect(read(parent, address + PAGE, 5)).toBe("after");
  expectSound(vm);
});

test("no mapping is put into the gap below a stack", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const top = mm.mmapBase;
  const stack = { length: PAGE, prot: RW, flags: ANON | MapFlag.GROWSDOWN };
  expect(run(mmap(mm, stack))).toBe(top - PAGE);
  expect(map(process, undefined, 1, MapFlag.PRIVATE)).toBe(top - PAGE - 256 * PAGE - PAGE);
});

test("a driver's registers are mapped by frame, and unmapped without a trace", () => {
  const { vm, spawn, freePages } = vmMachine();
  const process = spawn();
  const before = freePages();
  const file: FileObject = {
    ...REGISTERS,
    mmap: (vma) => remapPfnRange(vma, vma.start, 0x3_0000_0000 as never, vma.end - vma.start),
  };
  const address = map(process, file, 3, MapFlag.SHARED);
  const flags = mmOf(process).vmas.at(address)?.flags ?? 0;
  expect(flags & (VmFlag.PFNMAP | VmFlag.IO)).toBe(VmFlag.PFNMAP | VmFlag.IO);
  expect(entryFlags(process, address) & (Pte.special | Pte.write)).toBe(Pte.special | Pte.write);
  expect(mmOf(process).rssPages).toBe(0);
  run(munmap(mmOf(process), address, 3 * PAGE));
  expect(freePages()).toBe(before);
  expectSound(vm);
});

test("frames must fill all of a private mapping, whose pages are told apart by them", () => {
  const process = vmMachine().spawn();
  const file: FileObject = {
    ...REGISTERS,
    mmap: (vma) => remapPfnRange(vma, vma.start, 0x1000 as never, PAGE),
  };
  expect(errnoOf(mmap(mmOf(process), { file, length: 2 * PAGE, prot: RW, flags: MapFlag.PRIVATE }))).toBe(
    "EINVAL",
  );
});

test("what a driver has mapped before it refuses is unmapped, and nothing is left of the mapping", () => {
  const { vm, memory, spawn } = vmMachine();
  const process = spawn();
  const page = memory.allocator.allocPages(0, 0, 0 as never);
  const file: FileObject = {
    ...REGISTERS,
    mmap(vma) {
      vmInsertPage(vma, vma.start, page);
      expect(memory.memmap.refcount(page)).toBe(2);
      throw new KernelError("ENXIO", "the device has no such page");
    },
  };
  expect(errnoOf(mmap(mmOf(process), { file, length: PAGE, prot: RW, flags: MapFlag.SHARED }))).toBe("ENXIO");
  expect(memory.memmap.refcount(page)).toBe(1);
  expect(layout(process)).toEqual([]);
  expect(mmOf(process).totalVm).toBe(0);
  expectSound(vm);
});

test("a page that a driver inserts is the process's until it is unmapped", () => {
  const { vm, memory, spawn } = vmMachine();
  const process = spawn();
  const page = memory.allocator.allocPages(0, 0, 0 as never);
  memory.memmap.contents.write(page, 0, new TextEncoder().encode("ring"));
  const file: FileObject = { ...REGISTERS, mmap: (vma) => vmInsertPage(vma, vma.start, page) };
  const address = map(process, file, 1, MapFlag.SHARED);
  expect(read(process, address, 4)).toBe("ring");
  run(munmap(mmOf(process), address, PAGE));
  expect([memory.memmap.refcount(page), memory.memmap.mapcount(page)]).toEqual([1, 0]);
  expectSound(vm);
});

test("a special mapping gives its pages, and can't be divided", () => {
  const { memory, spawn } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  const page = memory.allocator.allocPages(0, 0, 0 as never);
  memory.memmap.contents.write(page, 0, new TextEncoder().encode("gettime"));
  const vdso = { name: "[vdso]", pages: [page] };
  run(installSpecialMapping(mm, at(0), 2 * PAGE, VmFlag.READ | VmFlag.EXEC | VmFlag.MAYREAD, vdso));
  expect(read(process, at(0), 7)).toBe("gettime");
  expect(readSignal(process, at(1))?.code).toBe("BUS_ADRERR");
  expect(errnoOf(munmap(mm, at(1), PAGE))).toBe("EINVAL");
  run(munmap(mm, at(0), 2 * PAGE));
  expect(memory.memmap.refcount(page)).toBe(1);
});

test("a file whose mappings are aligned lies in huge pages as it does in memory", () => {
  const process = vmMachine().spawn();
  const file: FileObject = { ...REGISTERS, mapAlignment: 2 * MiB };
  const request = { file, length: 4 * MiB, prot: RW, flags: MapFlag.SHARED, offset: 3 * PAGE };
  expect(run(mmap(mmOf(process), request)) % (2 * MiB)).toBe(3 * PAGE);
});

test("an address space can be mapped sparsely from end to end", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const flags = ANON | MapFlag.NORESERVE;
  const huge = run(mmap(mm, { length: 64 * 1024 * GiB, prot: RW, flags }));
  write(process, huge, "low");
  write(process, huge + 64 * 1024 * GiB - PAGE, "high");
  expect(mm.rssPages).toBe(2);
});
