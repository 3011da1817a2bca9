// Operations for cases about huge pages: a machine with transparent_hugepage/enabled set to always, memory of whole 2
// MiB, and the huge or small page that an address maps.
import type { Page, VirtAddr } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import { compoundMapcount, hugePmd } from "@hetmem/mm/huge";
import { coverageInvariants, watchCoverage } from "@hetmem/mmu-notifier";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { expect } from "vitest";
import { read, write } from "./files.ts";
import { at, expectSound, mapPages } from "./mappings.ts";
import { mmOf, vmMachine, type VmMachine, type VmMachineOptions } from "./vm-machine.ts";

/** Small pages in a huge page. */
export const PARTS = 512;

export function hugeMachine({ tunables, ...options }: VmMachineOptions = {}): VmMachine {
  const machine = vmMachine({ ...options, tunables: { transparentHugepage: "always", ...tunables } });
  watchCoverage(machine.vm);
  return machine;
}

/**
 * Maps private memory for `count` huge pages at the start of the region, and writes to each: page n begins with `huge
 * n`.
 */
export function withHuge(process: Process, count = 1): VirtAddr {
  const start = mapPages(process, 0, count * PARTS);
  for (let i = 0; i < count; i++) write(process, at(i * PARTS), `huge ${i}`);
  return start;
}

/** The page that the huge entry of an address maps; undefined without a huge entry. */
export function hugeAt(process: Process, address: VirtAddr): Page | undefined {
  const { pageTable } = mmOf(process);
  const pmd = hugePmd(pageTable, address);
  return pmd === NO_ENTRY ? undefined : (pageTable.value(pmd) as Page);
}

/** The page that the small entry of an address maps; undefined without a small entry. */
export function smallAt(process: Process, address: VirtAddr): Page | undefined {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(address);
  const counted =
    entry !== NO_ENTRY && (pageTable.flags(entry) & (Pte.present | Pte.special)) === Pte.present;
  return counted ? (pageTable.value(entry) as Page) : undefined;
}

/** Writes `<what> n` into each of `count` pages of the region. */
export function fill(process: Process, first: number, count: number, what: string): void {
  for (let i = first; i < first + count; i++) write(process, at(i), `${what} ${i}`);
}

/** Numbers of the pages of the region that don't begin with `<what> n`. */
export function differing(process: Process, first: number, count: number, what: string): number[] {
  const wrong: number[] = [];
  for (let i = first; i < first + count; i++) {
    const wanted = `${what} ${i}`;
    if (read(process, at(i), wanted.length) !== wanted) wrong.push(i);
  }
  return wrong;
}

export function wholeMappings({ vm }: VmMachine, head: Page): number {
  return compoundMapcount(vm.memmap, head);
}

/** All invariants between calls, and the coverage of every change by notifiers. */
export function expectAllSound({ vm }: VmMachine): void {
  expectSound(vm);
  expect(coverageInvariants.flatMap((invariant) => [...invariant.check(vm)])).toEqual([]);
}

/** A process with one huge page, all of whose parts are written. */
export function writtenHugePage(machine: VmMachine, what: string): { process: Process; head: Page } {
  const process = machine.spawn();
  mapPages(process, 0, PARTS);
  fill(process, 0, PARTS, what);
  const head = hugeAt(process, at(0));
  if (head === undefined) throw new Error("no huge page");
  return { process, head };
}
