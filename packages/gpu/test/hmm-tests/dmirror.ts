// The fixture of the kernel's HMM suite: devices of one kind, a process that has them open, and the commands of the
// test driver, which answer as its ioctls do. Kernel counterparts: tools/testing/selftests/vm/hmm-tests.c, lib/test_hmm.c.
import { hugetlbPool } from "@hetmem/hugetlb";
import { MiB, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { exitProcess, MapFlag, mmap, type Process, Prot, readUser, writeUser } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import { expect, test } from "vitest";
import type { GpuContext } from "../../src/index.ts";
import { type GpuMachine, gpuMachine, MEMORY_TYPES } from "@hetmem/test-machines/gpu-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

/** Pages of a buffer. @see HMM_BUFFER_SIZE */
export const NPAGES = 1024;
/** How often a case is repeated that the kernel repeats. @see NTIMES */
export const NTIMES = 10;
export const RW: number = Prot.READ | Prot.WRITE;
export const PRIVATE: number = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
export const SHARED: number = MapFlag.SHARED | MapFlag.ANONYMOUS;
/** Pages of a huge page from the pool, which has one: what the kernel skips without is not skipped here. */
export const HUGE_PAGES = 512;
export const HUGETLB: number = PRIVATE | MapFlag.HUGETLB;

export interface Fixture {
  readonly machine: GpuMachine;
  readonly coherent: boolean;
  readonly process: Process;
  /** The open devices. */
  readonly fds: readonly GpuContext[];
  /** The first. */
  readonly fd: GpuContext;
}

/** The results of a command. @see struct hmm_dmirror_cmd */
export interface Answer {
  /** "done", or the errno. */
  readonly ret: string;
  readonly cpages: number;
  readonly faults: number;
}

/** A case on one device, in both variants; everything is free again when it has ended. */
export function hmm(name: string, body: (fixture: Fixture) => void): void {
  for (const memoryType of MEMORY_TYPES)
    test(`hmm.hmm_device_${memoryType}.${name}`, () => onDevices(memoryType, 1, body));
}

/** A case on two devices. */
export function hmm2(name: string, body: (fixture: Fixture) => void): void {
  for (const memoryType of MEMORY_TYPES)
    test(`hmm2.hmm2_device_${memoryType}.${name}`, () => onDevices(memoryType, 2, body));
}

function onDevices(
  memoryType: (typeof MEMORY_TYPES)[number],
  gpus: number,
  body: (fixture: Fixture) => void,
): void {
  const machine = gpuMachine({ memoryType, gpus, pages: 2 * NPAGES, ram: 64 * MiB });
  run(hugetlbPool(machine.vm).resize(1));
  const process = machine.spawn("hmm-tests");
  const fds = machine.gpus.map((gpu) => machine.open(process, gpu));
  body({ machine, coherent: memoryType === "coherent", process, fds, fd: fds[0] as GpuContext });
  machine.check();
  exit(process, fds);
  machine.check();
  expect(machine.gpus.map(({ memory }) => memory.usedPages)).toEqual(machine.gpus.map(() => 0));
}

/** The process ends, and its files are closed. */
export function exit(process: Process, fds: readonly GpuContext[]): void {
  for (const fd of fds) run(fd.close());
  run(exitProcess(process));
}

/** mmap(NULL, …). */
export function map(
  process: Process,
  pages: number,
  prot: number,
  flags: number,
  file?: FileObject,
): VirtAddr {
  return run(mmap(mmOf(process), { length: pages * PAGE, prot, flags, ...(file && { file }) }));
}

/** The 32-bit words of a buffer: what the suite fills them with. */
export function words(pages: number, word: (i: number) => number): Uint8Array {
  return new Uint8Array(Int32Array.from({ length: (pages * PAGE) / 4 }, (_, i) => word(i)).buffer);
}

/** The cpu writes, and gets no signal. */
export function store(process: Process, address: VirtAddr, bytes: Uint8Array): void {
  expect(run(writeUser(process, address, bytes))).toBeUndefined();
}

/** The cpu reads, and gets no signal. */
export function load(process: Process, address: VirtAddr, pages: number): Uint8Array {
  const bytes = new Uint8Array(pages * PAGE);
  expect(run(readUser(process, address, bytes))).toBeUndefined();
  return bytes;
}

/** The first byte that differs is all that a failure needs to say; toEqual() takes seconds for a buffer. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  expect(`byte ${at} is ${actual[at]}`).toBe(`byte ${at} is ${expected[at]}`);
}

/** @param mirror where the device puts what it reads */
export function read(fd: GpuContext, address: VirtAddr, mirror: Uint8Array): Answer {
  return answer(fd.read(address, mirror));
}

export function write(fd: GpuContext, address: VirtAddr, mirror: Uint8Array): Answer {
  return answer(fd.write(address, mirror));
}

/** Moves pages to the device, and looks what its page table reaches then: ENOENT where that is not all of them. */
export function migrateSysToDev(fd: GpuContext, address: VirtAddr, mirror: Uint8Array): Answer {
  return answer(movedAndSeen(fd, address, mirror));
}

/** Moves pages back. */
export function migrateDevToSys(fd: GpuContext, address: VirtAddr, pages: number): Answer {
  return answer(counted(fd.migrateBack(address, pages * PAGE)));
}

/** Takes pages for the device alone, and looks what it reaches then. */
export function makeExclusive(fd: GpuContext, address: VirtAddr, mirror: Uint8Array): Answer {
  return answer(exclusiveAndSeen(fd, address, mirror));
}

/** A byte of DmirrorProt a page. */
export function snapshot(fd: GpuContext, address: VirtAddr, pages: number): number[] {
  return [...run(fd.snapshot(address, pages * PAGE))];
}

function* movedAndSeen(fd: GpuContext, address: VirtAddr, mirror: Uint8Array): Sleeps<Pages> {
  yield* fd.migrateTo(address, mirror.length);
  yield* fd.peek(address, mirror);
  return { pages: mirror.length / PAGE };
}

function* exclusiveAndSeen(fd: GpuContext, address: VirtAddr, mirror: Uint8Array): Sleeps<Pages> {
  yield* fd.exclusive(address, mirror.length);
  yield* fd.peek(address, mirror);
  return { pages: mirror.length / PAGE };
}

interface Pages {
  readonly pages: number;
  readonly faults?: number;
}

function* counted(moved: Sleeps<number>): Sleeps<Pages> {
  return { pages: yield* moved };
}

function answer(command: Sleeps<Pages>): Answer {
  let done: Pages = { pages: 0 };
  const ret = outcome(() => {
    done = run(command);
  });
  return { ret, cpages: done.pages, faults: done.faults ?? 0 };
}
