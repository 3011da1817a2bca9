// Operations for cases about migration: processes with anonymous memory at a fixed address, their reads and writes,
// and the page of an address.
import { nodeId, type Page, run, virtAddr } from "@hetmem/kernel";
import {
  MigrateMode,
  migratePages,
  MigrateReason,
  type MigrateResult,
  migrationTarget,
} from "@hetmem/migrate";
import { type Process, readUser, type Vm, Vma, writeUser } from "@hetmem/mm";
import { linkVma } from "@hetmem/mm/vma";
import { NO_ENTRY } from "@hetmem/page-table";
import { Gfp, GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { expect } from "vitest";
import { RW } from "./hand-mapped.ts";
import { mmOf } from "./vm-machine.ts";

export const BASE = 0x7f00_0000_0000;
export const ON_NODE_1 = { node: nodeId(1), gfp: GFP_HIGHUSER_MOVABLE | Gfp.THISNODE };

/** Makes a mapping of anonymous memory at BASE. */
export function withMemory(process: Process, pages: number, flags: number = RW): Vma {
  const vma = new Vma(mmOf(process), virtAddr(BASE), virtAddr(BASE + pages * 4096), flags, BASE / 4096);
  linkVma(vma);
  return vma;
}

/** Writes a text at the start of a page of the process. */
export function write(process: Process, index: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  expect(run(writeUser(process, virtAddr(BASE + index * 4096), bytes))).toBeUndefined();
}

/** Reads `length` bytes from the start of a page of the process. */
export function read(process: Process, index: number, length: number): string {
  const into = new Uint8Array(length);
  expect(run(readUser(process, virtAddr(BASE + index * 4096), into))).toBeUndefined();
  return new TextDecoder().decode(into);
}

/** The entry of a page of the process as [value, flags]; zeros without an entry. */
export function entryOf(process: Process, index: number): readonly [number, number] {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(virtAddr(BASE + index * 4096));
  return entry === NO_ENTRY ? [0, 0] : [pageTable.value(entry), pageTable.flags(entry)];
}

/** The page that a page of the process maps. */
export function pageOf(process: Process, index: number): Page {
  return entryOf(process, index)[0] as Page;
}

/** Sets the flags of an entry. */
export function setEntryFlags(process: Process, index: number, flags: number): void {
  const { pageTable } = mmOf(process);
  pageTable.setFlags(pageTable.find(virtAddr(BASE + index * 4096)), flags);
}

/** Isolates pages and moves them to node 1. Pages that fail to move stay isolated. */
export function moveToNode1(vm: Vm, pages: readonly Page[]): MigrateResult {
  for (const page of pages) expect(vm.lru.isolate(page)).toBe(true);
  const target = migrationTarget(vm, ON_NODE_1);
  return run(migratePages(vm, pages, target, MigrateMode.Sync, MigrateReason.Syscall));
}
