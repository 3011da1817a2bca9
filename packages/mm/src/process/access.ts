// Memory accesses of a process as the CPU makes them: a walk of the page table sets the accessed and dirty bits, and
// an entry that doesn't allow the access raises a fault. Kernel counterparts: the memory management unit;
// copy_from_user() for accesses by the kernel.
import { type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { NO_ENTRY, Pte, specialPfn } from "@hetmem/page-table";
import { userFault } from "../fault/user-fault.ts";
import { FaultFlag } from "../fault/vm-fault.ts";
import type { MmStruct } from "../mm-struct.ts";
import { exitProcess } from "./exit.ts";
import type { Process } from "./process.ts";
import type { Signal } from "./signal.ts";

/** Answer of translate(): the entry is absent or doesn't allow the access. */
const FAULT = -1;
/** Answer of translate(): the entry maps a frame without memory. Reads return ones, and writes are dropped. */
const NO_MEMORY = -2;

/**
 * Reads bytes of a process.
 *
 * @param address first byte
 * @param into receives the bytes; its length is the number of bytes
 * @returns the signal that the access raised, when `into` holds the bytes before it; undefined when all bytes were
 *   read
 */
export function* readUser(process: Process, address: VirtAddr, into: Uint8Array): Sleeps<Signal | undefined> {
  let faulted = false;
  for (let done = 0; done < into.length;) {
    const at = (address + done) as VirtAddr;
    const length = Math.min(into.length - done, PAGE_SIZE - (at % PAGE_SIZE));
    const part = into.subarray(done, done + length);
    const page = process.mm ? translate(process.mm, at, Pte.present, Pte.accessed) : FAULT;
    if (page === FAULT) {
      const signal = yield* fault(process, at, 0);
      if (signal) return signal;
      faulted = true;
      continue;
    }
    if (page === NO_MEMORY) part.fill(0xff);
    else (process.mm as MmStruct).vm.memmap.contents.read(page as Page, at % PAGE_SIZE, part);
    done += length;
  }
  if (faulted) yield* exitToUserMode(process);
  return undefined;
}

/**
 * Writes bytes of a process.
 *
 * @param address first byte
 * @param from the bytes
 * @returns the signal that the access raised, when the bytes before it are written; undefined when all bytes were
 *   written
 */
export function* writeUser(
  process: Process,
  address: VirtAddr,
  from: Uint8Array,
): Sleeps<Signal | undefined> {
  let faulted = false;
  for (let done = 0; done < from.length;) {
    const at = (address + done) as VirtAddr;
    const length = Math.min(from.length - done, PAGE_SIZE - (at % PAGE_SIZE));
    const page = process.mm ? translate(process.mm, at, WRITABLE, WRITTEN) : FAULT;
    if (page === FAULT) {
      const signal = yield* fault(process, at, FaultFlag.WRITE);
      if (signal) return signal;
      faulted = true;
      continue;
    }
    if (page !== NO_MEMORY) {
      const part = from.subarray(done, done + length);
      (process.mm as MmStruct).vm.memmap.contents.write(page as Page, at % PAGE_SIZE, part);
    }
    done += length;
  }
  if (faulted) yield* exitToUserMode(process);
  return undefined;
}

/** Makes a write access to one byte without changing it. @returns the signal that the access raised */
export function* touchUser(process: Process, address: VirtAddr): Sleeps<Signal | undefined> {
  let faulted = false;
  // Ends: a fault makes the byte writable, or is a signal, unless another task changes the entry.
  while (!process.mm || translate(process.mm, address, WRITABLE, WRITTEN) === FAULT) {
    const signal = yield* fault(process, address, FaultFlag.WRITE);
    if (signal) return signal;
    faulted = true;
  }
  if (faulted) yield* exitToUserMode(process);
  return undefined;
}

/**
 * Writes cache lines back and waits for completion, as clwb and sfence do. On persistent memory, written-back lines
 * survive a power failure. For the page table the access is a load.
 *
 * @param address first byte
 * @param size bytes
 * @returns the signal that the access raised, when the lines before it are written back
 */
export function* writebackUser(
  process: Process,
  address: VirtAddr,
  size: number,
): Sleeps<Signal | undefined> {
  const byte = new Uint8Array(1);
  for (let done = 0; done < size;) {
    const at = (address + done) as VirtAddr;
    const length = Math.min(size - done, PAGE_SIZE - (at % PAGE_SIZE));
    const signal = yield* readUser(process, at, byte);
    if (signal) return signal;
    const page = process.mm ? translate(process.mm, at, Pte.present, 0) : FAULT;
    // The page was unmapped meanwhile; the next load faults it in again.
    if (page === FAULT) continue;
    if (page !== NO_MEMORY)
      (process.mm as MmStruct).vm.memmap.contents.writeback(page as Page, at % PAGE_SIZE, length);
    done += length;
  }
  return undefined;
}

/**
 * The return of a process to user mode, at the end of a system call or a fault. The process reclaims when its cgroup
 * is above memory.high, and exits if it was killed. An access happens before, so that reclaim can't take its page
 * again and again.
 *
 * @see exit_to_user_mode_loop() in kernel/entry/common.c
 */
export function* exitToUserMode(process: Process): Sleeps<void> {
  const work = process.mm?.vm.charging.handleOverHigh?.(process);
  if (work) yield* work;
  if (process.killed && process.mm) yield* exitProcess(process);
}

const WRITABLE = Pte.present | Pte.write;
const WRITTEN = Pte.accessed | Pte.dirty | Pte.softDirty;

/**
 * One page table walk.
 *
 * @param needed bits that the entry must have
 * @param noted bits that the access sets in the entry
 * @returns the page, FAULT or NO_MEMORY
 */
function translate(mm: MmStruct, address: VirtAddr, needed: number, noted: number): number {
  const { pageTable, vm } = mm;
  let entry = pageTable.find(address);
  let offset = 0;
  if (entry === NO_ENTRY) {
    entry = pageTable.findPmd(address);
    if (entry === NO_ENTRY || (pageTable.flags(entry) & Pte.huge) === 0) return FAULT;
    offset = Math.floor(address / PAGE_SIZE) % 512;
  }
  const flags = pageTable.flags(entry);
  if ((flags & (needed | Pte.protnone)) !== needed) return FAULT;
  if ((flags & noted) !== noted) pageTable.setFlags(entry, flags | noted);
  const value = pageTable.value(entry);
  if ((flags & Pte.special) === 0) return value + offset;
  const frame = specialPfn(value, flags);
  return vm.memmap.pfnValid(frame) ? vm.memmap.pfnToPage(frame) : NO_MEMORY;
}

/** Handles a fault. A process that was killed meanwhile exits. */
function* fault(process: Process, address: VirtAddr, flags: number): Sleeps<Signal | undefined> {
  const signal = yield* userFault(process, address, flags);
  if (process.killed && process.mm) yield* exitProcess(process);
  return signal;
}
