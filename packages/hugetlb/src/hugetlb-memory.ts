// The port Hugetlb of mm, implemented with the pool: faults, fork and unmapping of mappings of huge pages. A machine
// gets it through hugetlbParts. Kernel counterpart: the hugetlb branches of mm/memory.c and mm/mmap.c, and mm/hugetlb.c
// behind them.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import type { Vma, VmFault, VmParts } from "@hetmem/mm";
import type { Hugetlb } from "@hetmem/mm/ports";
import { copyHugetlbRange } from "./copy-hugetlb.ts";
import { hugetlbFault } from "./hugetlb-fault.ts";
import { type HugetlbFile, hugetlbFileSetup } from "./hugetlb-file.ts";
import { HugetlbPool } from "./hugetlb-pool.ts";
import { poolFindings } from "./invariants.ts";
import { zapHugetlbRange } from "./zap-hugetlb.ts";

class HugetlbMemory extends HugetlbPool implements Hugetlb {
  fileSetup(length: number, flags: number): { readonly file: HugetlbFile; readonly length: number } {
    return hugetlbFileSetup(this.vm, length, flags);
  }

  findings(): Iterable<string> {
    return poolFindings(this);
  }

  fault(vma: Vma, address: VirtAddr, flags: number): Sleeps<VmFault> {
    return hugetlbFault(vma, address, flags);
  }

  copyRange(to: Vma, from: Vma): Sleeps<void> {
    return copyHugetlbRange(to, from);
  }

  zapRange(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
    return zapHugetlbRange(vma, start, end);
  }
}

/** A pool of huge pages for a machine; spread it into the options of Vm. */
export const hugetlbParts: Required<Pick<VmParts, "hugetlb">> = { hugetlb: (vm) => new HugetlbMemory(vm) };
