// Operations for cases about the hugetlb pool: a machine with a pool, mappings of its pages, and its counters.
import { hugeIndex, HugetlbInode, hugetlbPool, hugetlbTables, privateHugetlb } from "@hetmem/hugetlb";
import { MiB, run, type VirtAddr } from "@hetmem/kernel";
import { MapFlag, mmap, type Process, type Vm, vmTables } from "@hetmem/mm";
import { watchCoverage } from "@hetmem/mmu-notifier";
import { procPidTable } from "@hetmem/proc-pid";
import { Vfs } from "@hetmem/vfs";
import { procTables } from "@hetmem/zone";
import { RW } from "./files.ts";
import { mmOf, vmMachine, type VmMachine, type VmMachineOptions } from "./vm-machine.ts";

/** Bytes of a huge page. */
export const HUGE: number = 2 * MiB;
export const PRIVATE_HUGE: number = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.HUGETLB;
export const SHARED_HUGE: number = MapFlag.SHARED | MapFlag.ANONYMOUS | MapFlag.HUGETLB;

export interface HugetlbMachine extends VmMachine {
  cat(path: string): string;
  echo(path: string, text: string): void;
}

/** A machine with a pool of `pages` huge pages. */
export function hugetlbMachine(pages: number, options: VmMachineOptions = {}): HugetlbMachine {
  const machine = vmMachine(options);
  const vfs = new Vfs();
  const { memory, vm } = machine;
  for (const table of [
    ...procTables(memory, { hugePages: hugetlbPool(vm) }),
    ...vmTables(vm),
    ...hugetlbTables(vm),
    procPidTable(vm),
  ])
    vfs.mount(table);
  watchCoverage(vm);
  run(hugetlbPool(vm).resize(pages));
  return {
    ...machine,
    cat: (path) => run(vfs.read(path)),
    echo: (path, text) => run(vfs.write(path, text)),
  };
}

/** mmap() of `pages` huge pages at any address. */
export function mapHuge(process: Process, pages: number, flags = PRIVATE_HUGE, prot = RW): VirtAddr {
  return run(mmap(mmOf(process), { length: pages * HUGE, prot, flags }));
}

/** The address of the n-th huge page of a mapping. */
export function hugeAt(start: VirtAddr, n: number): VirtAddr {
  return (start + n * HUGE) as VirtAddr;
}

/** The pool's counters in the order total, free, reserved, surplus. */
export function pool({ vm }: VmMachine): number[] {
  const { total, free, reserved, surplus } = hugetlbPool(vm).counts;
  return [total, free, reserved, surplus];
}

/**
 * Huge pages promised to mappings and files and not used yet: the reserved count that the pool must have between
 * calls.
 */
export function promisedPages(vm: Vm): number {
  let promised = 0;
  for (const { host } of vm.mappings)
    if (host instanceof HugetlbInode) promised += host.reserved.size - host.hugePages.size;
  for (const mm of vm.addressSpaces) {
    for (const vma of mm.vmas) {
      const reserve = privateHugetlb(vma)?.reserve;
      if (!reserve) continue;
      const first = hugeIndex(vma, vma.start);
      for (let i = first; i < first + vma.pages / 512; i++) if (!reserve.consumed.has(i)) promised++;
    }
  }
  return promised;
}
