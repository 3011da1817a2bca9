// The files in /proc/sys/vm and /sys/kernel/mm/hugepages that show the pool and resize it. nr_hugepages sets the size,
// nr_overcommit_hugepages the limit of surplus pages. Kernel counterpart: hugetlb_sysctl_handler_common(),
// hugetlb_overcommit_handler() and hstate_attrs in mm/hugetlb.c.
import { kstrtou64, kstrtoull } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { type Attribute, type AttributeTable, parseUnsignedSysctl } from "@hetmem/vfs";
import { hugetlbPool } from "./hugetlb-pool.ts";

/** The files of a machine's pool. @throws KernelBug if the machine was made without hugetlbParts */
export function hugetlbTables(vm: Vm): AttributeTable[] {
  const hugetlb = hugetlbPool(vm);
  const size = (show: () => number, parse: (text: string) => number): Attribute => ({
    show: () => `${show()}\n`,
    *store(_params, text) {
      yield* hugetlb.resize(parse(text));
    },
  });
  const overcommit = (parse: (text: string) => bigint): Attribute => ({
    show: () => `${hugetlb.overcommit}\n`,
    store(_params, text) {
      hugetlb.overcommit = parse(text);
    },
  });
  return [
    {
      root: "/proc/sys/vm",
      files: {
        nr_hugepages: size(
          () => hugetlb.wanted,
          (text) => Number(parseUnsignedSysctl(text)),
        ),
        nr_overcommit_hugepages: overcommit(parseUnsignedSysctl),
      },
    },
    {
      root: "/sys/kernel/mm/hugepages/hugepages-2048kB",
      files: {
        free_hugepages: { show: () => `${hugetlb.counts.free}\n` },
        nr_hugepages: size(() => hugetlb.counts.total, kstrtoull),
        nr_overcommit_hugepages: overcommit(kstrtou64),
        resv_hugepages: { show: () => `${hugetlb.counts.reserved}\n` },
        surplus_hugepages: { show: () => `${hugetlb.counts.surplus}\n` },
      },
    },
  ];
}
