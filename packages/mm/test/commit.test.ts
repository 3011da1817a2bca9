import { MiB, run } from "@hetmem/kernel";
import { diskFile, map, RW } from "@hetmem/test-machines/files";
import { at, errnoOf, mapPages } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import { totalRamPages } from "../src/vma/commit.ts";
import { MapFlag } from "../src/vma/map-flags.ts";
import { mmap } from "../src/vma/mmap.ts";
import { munmap } from "../src/vma/munmap.ts";
import { Prot } from "../src/vma/vm-flags.ts";

const ANON = MapFlag.PRIVATE | MapFlag.ANONYMOUS;

test("what is promised is private memory that may be written, and shared memory of nobody's file", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const { file } = diskFile(vm, 4);
  mapPages(process, 0, 3);
  expect(vm.commit.pages).toBe(3);
  mapPages(process, 10, 3, Prot.READ);
  map(process, file, 4, MapFlag.SHARED);
  map(process, undefined, 5, MapFlag.PRIVATE | MapFlag.NORESERVE);
  expect(vm.commit.pages).toBe(3);
  map(process, file, 4, MapFlag.PRIVATE);
  expect(vm.commit.pages).toBe(7);
  const shared = map(process, undefined, 2, MapFlag.SHARED);
  expect(vm.commit.pages).toBe(9);
  run(munmap(mmOf(process), shared, 2 * PAGE));
  expect(vm.commit.pages).toBe(7);
});

test("a child is promised as much as its parent, and everything is given back at the end", () => {
  const { vm, spawn } = vmMachine();
  const parent = spawn();
  mapPages(parent, 0, 8);
  const child = run(forkProcess(parent));
  expect(vm.commit.pages).toBe(16);
  run(exitProcess(child));
  run(exitProcess(parent));
  expect(vm.commit.pages).toBe(0);
});

test("mode 0 refuses what the machine could never hold at once, and nothing else", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const total = totalRamPages(vm) * PAGE;
  const request = { length: total, prot: RW, flags: ANON };
  for (let i = 0; i < 3; i++) expect(errnoOf(mmap(mmOf(process), request))).toBe(undefined);
  expect(errnoOf(mmap(mmOf(process), { ...request, length: total + PAGE }))).toBe("ENOMEM");
  expect(
    errnoOf(mmap(mmOf(process), { ...request, length: total + PAGE, flags: ANON | MapFlag.NORESERVE })),
  ).toBe(undefined);
});

test("mode 1 promises anything", () => {
  const process = vmMachine({ tunables: { overcommitMemory: 1 } }).spawn();
  expect(errnoOf(mmap(mmOf(process), { length: 2 ** 40, prot: RW, flags: ANON }))).toBe(undefined);
});

test("the limit in kilobytes is exact up to the last of 64 bits", () => {
  const { vm } = vmMachine({ tunables: { overcommitKbytes: 2n ** 64n - 1n } });
  expect(vm.commit.limit).toBe(2n ** 62n - 1n);
});

test("mode 2 promises no more than there is, keeps a reserve, and ignores MAP_NORESERVE", () => {
  const { vm, spawn } = vmMachine({ tunables: { overcommitMemory: 2, overcommitRatio: 50 } });
  const process = spawn();
  expect(vm.commit.limit).toBe(BigInt(Math.floor(totalRamPages(vm) / 2)));
  const length = 8 * MiB;
  const flags = ANON | MapFlag.NORESERVE;
  let promised = 0;
  while (errnoOf(mmap(mmOf(process), { length, prot: RW, flags })) === undefined) promised += length / PAGE;
  expect(vm.commit.pages).toBe(promised);
  expect(promised).toBeGreaterThan(Number(vm.commit.limit) * 0.7);
  expect(promised).toBeLessThan(vm.commit.limit);
  expect(mmOf(process).totalVm).toBe(promised);
});

test("a mapping that isn't made promises nothing", () => {
  const { vm, spawn } = vmMachine({ rlimits: { as: 4 * PAGE } });
  const process = spawn();
  expect(errnoOf(mmap(mmOf(process), { length: 5 * PAGE, prot: RW, flags: ANON }))).toBe("ENOMEM");
  expect(vm.commit.pages).toBe(0);
});

test("RLIMIT_DATA limits private writable memory alone", () => {
  const process = vmMachine({ rlimits: { data: 2 * PAGE } }).spawn();
  mapPages(process, 0, 2);
  mapPages(process, 10, 5, Prot.READ);
  map(process, undefined, 5, MapFlag.SHARED);
  const request = { address: at(20), length: PAGE, prot: RW, flags: ANON | MapFlag.FIXED };
  expect(errnoOf(mmap(mmOf(process), request))).toBe("ENOMEM");
});
