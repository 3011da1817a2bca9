// Operations for cases about mappings: anonymous memory at given pages of a small region, the layout of the mappings,
// and the errno of a call.
import { KernelError, run, type Sleeps, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { MapFlag, mmap, type Process, type Vm, type Vma, VmFlag, vmInvariants } from "@hetmem/mm";
import { Pte } from "@hetmem/page-table";
import { expect } from "vitest";
import { RW } from "./files.ts";
import { mmOf, PAGE } from "./vm-machine.ts";

/** Start address of the region. */
export const BASE = 0x1000_0000;

/** The address of a page of the region. */
export function at(index: number): VirtAddr {
  return virtAddr(BASE + index * PAGE);
}

/** Maps the private anonymous pages [first, first + pages) of the region. */
export function mapPages(process: Process, first: number, pages: number, prot = RW, flags = 0): VirtAddr {
  const request = { address: at(first), length: pages * PAGE, prot };
  const type = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  return run(mmap(mmOf(process), { ...request, flags: type | flags }));
}

/** The mappings in order, as "first-end rwxp" in pages of the region. */
export function layout(process: Process): string[] {
  return [...mmOf(process).vmas].map((vma) => `${page(vma.start)}-${page(vma.end)} ${rights(vma)}`);
}

/** The mapping of a page of the region. */
export function vmaAt(process: Process, first: number): Vma {
  const vma = mmOf(process).vmas.at(at(first));
  if (!vma) throw new Error(`nothing is mapped at page ${first}`);
  return vma;
}

/** Flags of the entry of an address; 0 without an entry. */
export function entryFlags(process: Process, address: VirtAddr): number {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(address);
  return entry < 0 ? 0 : pageTable.flags(entry);
}

/** Number of present pages among the first `pages` of the region. */
export function presentPages(process: Process, pages: number): number {
  let present = 0;
  for (let i = 0; i < pages; i++) if ((entryFlags(process, at(i)) & Pte.present) !== 0) present++;
  return present;
}

/** The errno of a failed call; undefined when it succeeds. */
export function errnoOf(call: Sleeps<unknown>): string | undefined {
  try {
    run(call);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}

/** Expects vmInvariants to hold. */
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
