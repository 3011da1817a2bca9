// Verbs for cases about huge pages of the pool: a machine whose pool has some, mappings of them, and what the pool says.
import { MiB, run, type VirtAddr } from "@hetmem/kernel";
import { Vfs } from "@hetmem/vfs";
import { procTables } from "@hetmem/zone";
import { HugetlbInode } from "../src/hugetlb/hugetlb-inode.ts";
import { hugeIndex, privateHugetlb } from "../src/hugetlb/reservations.ts";
import { watchCoverage } from "../src/notifier/coverage.ts";
import { procPidTable } from "../src/proc/proc-pid.ts";
import { type LoggedTask, sysctlTables } from "../src/proc/sysctl.ts";
import type { Process } from "../src/process/process.ts";
import type { Vm } from "../src/vm.ts";
import { MapFlag } from "../src/vma/map-flags.ts";
import { mmap } from "../src/vma/mmap.ts";
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

const WRITER: LoggedTask = { pid: 1, comm: "sh" };

/** A machine whose pool has so many pages. */
export function hugetlbMachine(pages: number, options: VmMachineOptions = {}): HugetlbMachine {
  const machine = vmMachine(options);
  const vfs = new Vfs();
  const { memory, vm } = machine;
  for (const table of [
    ...procTables(memory, { hugePages: vm.hugetlb }),
    ...sysctlTables(vm, () => WRITER),
    procPidTable(vm),
  ])
    vfs.mount(table);
  watchCoverage(vm);
  run(vm.hugetlb.resize(pages));
  return {
    ...machine,
    cat: (path) => run(vfs.read(path)),
    echo: (path, text) => run(vfs.write(path, text)),
  };
}

/** mmap(NULL, …) of whole huge pages. */
export function mapHuge(process: Process, pages: number, flags = PRIVATE_HUGE, prot = RW): VirtAddr {
  return run(mmap(mmOf(process), { length: pages * HUGE, prot, flags }));
}

/** The address of the n-th huge page of a mapping. */
export function hugeAt(start: VirtAddr, n: number): VirtAddr {
  return (start + n * HUGE) as VirtAddr;
}

/** total, free, reserved, surplus */
export function pool({ vm }: VmMachine): number[] {
  const { total, free, reserved, surplus } = vm.hugetlb.counts;
  return [total, free, reserved, surplus];
}

/** What all mappings and files were promised and haven't had: what the pool must have counted, while nobody is at it. */
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
