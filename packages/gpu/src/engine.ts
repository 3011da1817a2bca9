// The engine: the compute unit of the device. The engine uses virtual addresses of the process, and accesses memory
// only through the device's page table. A missing entry is a device fault, which the driver handles before the access
// is retried. Lookup and access are atomic, as with a TLB that is flushed by invalidations. Kernel counterpart:
// dmirror_do_read(), dmirror_do_write() and their loops in lib/test_hmm.c.
import { alignDown, alignUp, KernelError, KiB, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { expectInUse } from "./dma.ts";
import { DevicePte } from "./device-page-table.ts";
import { makeExclusive, mayAtomic } from "./exclusive.ts";
import { faultRange, MAX_RETRIES } from "./fault.ts";
import type { GpuContext } from "./gpu-context.ts";
import { migrateWherePossible, takeOutOfDevice } from "./migrate.ts";

/** Counts of an access. @see struct hmm_dmirror_cmd in lib/test_hmm_uapi.h */
export interface EngineRun {
  /** Number of pages read or written. @see cpages */
  readonly pages: number;
  /** Number of device faults. @see faults */
  readonly faults: number;
}

/** Bytes of the blocks in which misses are counted. */
const MISS_BLOCK = 64 * KiB;

/** A kind of access. */
interface Access {
  readonly write: boolean;
  /** Accesses bytes within a page. @returns false when the entry is missing or doesn't allow it */
  readonly once: (context: GpuContext, address: VirtAddr, bytes: Uint8Array) => boolean;
}

const READ: Access = { write: false, once: readEntry };
const WRITE: Access = { write: true, once: writeEntry };

/** @see dmirror_read() */
export function readThrough(context: GpuContext, address: VirtAddr, into: Uint8Array): Sleeps<EngineRun> {
  return through(context, address, into, READ);
}

/** @see dmirror_write() */
export function writeThrough(context: GpuContext, address: VirtAddr, from: Uint8Array): Sleeps<EngineRun> {
  return through(context, address, from, WRITE);
}

/** Runs an access page by page. @throws KernelError EBUSY when a page is missing after MAX_RETRIES faults in a row */
function* through(
  context: GpuContext,
  address: VirtAddr,
  bytes: Uint8Array,
  { once, write }: Access,
): Sleeps<EngineRun> {
  const run = { pages: 0, faults: 0 };
  let inVain = 0;
  for (let done = 0; done < bytes.length;) {
    const at = (address + done) as VirtAddr;
    const length = Math.min(bytes.length - done, PAGE_SIZE - (at % PAGE_SIZE));
    if (once(context, at, bytes.subarray(done, done + length))) {
      done += length;
      run.pages++;
      inVain = 0;
      continue;
    }
    if (inVain++ === MAX_RETRIES)
      throw new KernelError(
        "EBUSY",
        `0x${at.toString(16)} changes faster than ${context.gpu.name} can use it`,
      );
    yield* miss(context, at, (address + bytes.length) as VirtAddr, write);
    run.faults++;
  }
  return run;
}

/** Adds to a 32-bit word atomically. @returns the old value */
export function* atomicAdd(context: GpuContext, address: VirtAddr, value: number): Sleeps<number> {
  if (address % 4 !== 0)
    throw new KernelError(
      "EINVAL",
      `atomic operations are on multiples of four, not on 0x${address.toString(16)}`,
    );
  if (!mayAtomic(context.table.flags(address))) {
    yield* miss(context, address, (address + 4) as VirtAddr, true);
    const start = alignDown(address, PAGE_SIZE) as VirtAddr;
    // makeExclusive() of a single page returns without a yield after filling the entry, so the entry is still valid
    // here.
    yield* makeExclusive(context, start, (start + PAGE_SIZE) as VirtAddr);
  }
  expectInUse(context.gpu.vm, context.table.page(address));
  const bytes = context.gpu.vm.memmap.contents.materialise(context.table.page(address));
  const word = new DataView(bytes.buffer, bytes.byteOffset + (address % PAGE_SIZE), 4);
  const before = word.getUint32(0, true);
  word.setUint32(0, before + value, true);
  context.table.markDirty(address);
  touch(context, address, context.table.flags(address));
  return before;
}

/** Reads through existing entries. @throws KernelError ENOENT for a missing entry */
export function peek(context: GpuContext, address: VirtAddr, into: Uint8Array): void {
  for (let done = 0; done < into.length;) {
    const at = (address + done) as VirtAddr;
    const length = Math.min(into.length - done, PAGE_SIZE - (at % PAGE_SIZE));
    if (!readEntry(context, at, into.subarray(done, done + length)))
      throw new KernelError("ENOENT", `${context.gpu.name} has no entry for 0x${at.toString(16)}`);
    done += length;
  }
}

/** Reads bytes within a page. @returns false without an entry */
function readEntry(context: GpuContext, address: VirtAddr, into: Uint8Array): boolean {
  const { table, gpu } = context;
  const flags = table.flags(address);
  if ((flags & DevicePte.read) === 0) return false;
  expectInUse(gpu.vm, table.page(address));
  gpu.vm.memmap.contents.read(table.page(address), address % PAGE_SIZE, into);
  touch(context, address, flags);
  return true;
}

function writeEntry(context: GpuContext, address: VirtAddr, from: Uint8Array): boolean {
  const { table, gpu } = context;
  const flags = table.flags(address);
  if ((flags & DevicePte.write) === 0) return false;
  expectInUse(gpu.vm, table.page(address));
  gpu.vm.memmap.contents.write(table.page(address), address % PAGE_SIZE, from);
  table.markDirty(address);
  touch(context, address, flags);
  return true;
}

/** Marks a page of device memory as referenced, which delays its eviction. */
function touch({ gpu, table }: GpuContext, address: VirtAddr, flags: number): void {
  if ((flags & DevicePte.local) !== 0) gpu.memory.touch(table.page(address));
}

/** Handles a device fault at `start` for an access up to `end`: migrates as the policy says, then fills entries. */
function* miss(context: GpuContext, start: VirtAddr, end: VirtAddr, write: boolean): Sleeps<void> {
  const { gpu, misses } = context;
  gpu.expectAlive();
  const block = Math.floor(start / MISS_BLOCK);
  const count = (misses.get(block) ?? 0) + 1;
  misses.set(block, count);
  const first = alignDown(start, PAGE_SIZE) as VirtAddr;
  const last = alignUp(end, PAGE_SIZE) as VirtAddr;
  const placement = gpu.policy.onMiss({ start: first, end: last, write, misses: count });
  if (placement) yield* migrateWherePossible(context, placement.start, placement.end);
  const readOnly = yield* faultRange(context, first, last, write);
  if (readOnly !== undefined) {
    yield* takeOutOfDevice(context, readOnly);
    // Map the page in RAM now, before the policy can migrate it to the device again.
    yield* faultRange(context, readOnly, last, write);
  }
  gpu.stats.faults++;
}
