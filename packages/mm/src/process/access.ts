// What a process reads and writes, as its cpu does it: through its page table, which notes each access, with a fault
// where the table doesn't allow it. Kernel counterpart: the memory management unit; copy_from_user() for the kernel.
import { type Page, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { NO_ENTRY, Pte, specialPfn } from "@hetmem/page-table";
import { userFault } from "../fault/user-fault.ts";
import { FaultFlag } from "../fault/vm-fault.ts";
import type { MmStruct } from "../mm-struct.ts";
import { exitProcess } from "./exit.ts";
import type { Process } from "./process.ts";
import type { Signal } from "./signal.ts";

/** The page table doesn't allow the access. */
const FAULT = -1;
/** It does, and no memory answers: a bus reads ones there, and drops what is written. */
const NO_MEMORY = -2;

/**
 * Reads bytes of a process as its cpu does.
 *
 * @param into how many, and where they go
 * @returns the signal that the access raised, and then `into` holds what was read before it; undefined: all was read
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

/** Writes bytes into a process as its cpu does. @returns the signal that the access raised; what stands before it is written */
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

/** Touches one byte for writing and leaves it as it is: what a program does that fills memory with nothing. */
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
 * Writes cache lines back and waits for it, as clwb and sfence do. It makes a difference where the memory is persistent: what
 * left the caches may survive a power failure. To the page table each is a load.
 *
 * @param size bytes
 * @returns the signal that the access raised; what stands before it is written back
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
    // Somebody took the page away meanwhile: the next load brings it back.
    if (page === FAULT) continue;
    if (page !== NO_MEMORY)
      (process.mm as MmStruct).vm.memmap.contents.writeback(page as Page, at % PAGE_SIZE, length);
    done += length;
  }
  return undefined;
}

/**
 * A process goes back to what it was doing: slower when its cgroup has too much memory, and no further if it was killed
 * meanwhile. Whoever makes a system call for it ends with this. An access comes first, so that what it needed isn't
 * reclaimed over and over before it.
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

/** One walk of the memory management unit: which page answers, with the access noted in the entry. */
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

/** A process that was killed meanwhile goes no further. */
function* fault(process: Process, address: VirtAddr, flags: number): Sleeps<Signal | undefined> {
  const signal = yield* userFault(process, address, flags);
  if (process.killed && process.mm) yield* exitProcess(process);
  return signal;
}
