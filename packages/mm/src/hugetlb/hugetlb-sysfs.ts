// The pool as an administrator sees and sizes it: /proc/sys/vm and /sys/kernel/mm/hugepages. Kernel counterpart:
// hugetlb_sysctl_handler_common(), hugetlb_overcommit_handler() and hstate_attrs in mm/hugetlb.c.
import { KernelError, kstrtoull } from "@hetmem/kernel";
import type { Attribute, AttributeTable } from "@hetmem/vfs";
import { parseSysctl } from "../proc/parse-sysctl.ts";
import type { Vm } from "../vm.ts";

type Parse = (text: string) => number;

export function hugetlbTables({ hugetlb }: Vm): AttributeTable[] {
  const size = (show: () => number, parse: Parse): Attribute => ({
    show: () => `${show()}\n`,
    *store(_params, text) {
      yield* hugetlb.resize(parse(text));
    },
  });
  const overcommit = (parse: Parse): Attribute => ({
    show: () => `${hugetlb.overcommit}\n`,
    store(_params, text) {
      hugetlb.overcommit = parse(text);
    },
  });
  return [
    {
      root: "/proc/sys/vm",
      files: {
        nr_hugepages: size(() => hugetlb.wanted, unsignedSysctl),
        nr_overcommit_hugepages: overcommit(unsignedSysctl),
      },
    },
    {
      root: "/sys/kernel/mm/hugepages/hugepages-2048kB",
      files: {
        free_hugepages: { show: () => `${hugetlb.counts.free}\n` },
        nr_hugepages: size(() => hugetlb.counts.total, kstrtoull),
        nr_overcommit_hugepages: overcommit(kstrtoull),
        resv_hugepages: { show: () => `${hugetlb.counts.reserved}\n` },
        surplus_hugepages: { show: () => `${hugetlb.counts.surplus}\n` },
      },
    },
  ];
}

/** @throws KernelError EINVAL for what is no number of pages @see proc_doulongvec_minmax() */
function unsignedSysctl(text: string): number {
  const value = parseSysctl(text);
  if (value >= 0) return value;
  throw new KernelError("EINVAL", `${value} huge pages can't be: write 0 or more`);
}
