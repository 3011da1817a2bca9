// Verbs for cases about mappings: anonymous memory at given pages of a small region, what is mapped there, and the errno
// that a call gives.
import { KernelError, run, type Sleeps, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { MapFlag, mmap, type Process, type Vm, type Vma, VmFlag, vmInvariants } from "@hetmem/mm";
import { Pte } from "@hetmem/page-table";
import { expect } from "vitest";
import { RW } from "./files.ts";
import { mmOf, PAGE } from "./vm-machine.ts";

/** Where the region begins that cases map pages of. */
export const BASE = 0x1000_0000;

/** The address of a page of the region. */
export function at(index: number): VirtAddr {
  return virtAddr(BASE + index * PAGE);
}

/** Maps private anonymous pages [first, first + pages) of the region. */
export function mapPages(process: Process, first: number, pages: number, prot = RW, flags = 0): VirtAddr {
  const request = { address: at(first), length: pages * PAGE, prot };
  const type = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  return run(mmap(mmOf(process), { ...request, flags: type | flags }));
}

/** What is mapped, as "first-end rwxp" in pages of the region, in order. */
export function layout(process: Process): string[] {
  return [...mmOf(process).vmas].map((vma) => `${page(vma.start)}-${page(vma.end)} ${rights(vma)}`);
}

/** The mapping of a page of the region. */
export function vmaAt(process: Process, first: number): Vma {
  const vma = mmOf(process).vmas.at(at(first));
  if (!vma) throw new Error(`nothing is mapped at page ${first}`);
  return vma;
}

/** The flags of the entry for an address, 0 where there is none. */
export function entryFlags(process: Process, address: VirtAddr): number {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(address);
  return entry < 0 ? 0 : pageTable.flags(entry);
}

/** How many pages of the region's first ones are present. */
export function presentPages(process: Process, pages: number): number {
  let present = 0;
  for (let i = 0; i < pages; i++) if ((entryFlags(process, at(i)) & Pte.present) !== 0) present++;
  return present;
}

/** The errno that a call ends with; undefined when it succeeds. */
export function errnoOf(call: Sleeps<unknown>): string | undefined {
  try {
    run(call);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}

/** Everything that must hold between calls. */
export function expectSound(vm: Vm): void {
  expect(
    vmInvariants.flatMap((invariant) => [...invariant.check(vm)].map((what) => `${invariant.name}: ${what}`)),
  ).toEqual([]);
}

function page(address: number): string {
  return String((address - BASE) / PAGE);
}

function rights({ flags }: Vma): string {
  const right = (bit: number, letter: string): string => ((flags & bit) === 0 ? "-" : letter);
  return (
    right(VmFlag.READ, "r") +
    right(VmFlag.WRITE, "w") +
    right(VmFlag.EXEC, "x") +
    ((flags & VmFlag.SHARED) === 0 ? "p" : "s")
  );
}
