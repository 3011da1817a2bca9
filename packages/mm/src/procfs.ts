// Files with settings of address spaces: /proc/sys/vm and /sys/kernel/mm/transparent_hugepage. Packages above have
// the files of their own settings. Texts, bounds and errnos are the kernel's. Kernel counterparts: vm_table in
// kernel/sysctl.c, hugepage_attr in mm/huge_memory.c.
import { INT_MAX, INT_MIN, KernelError } from "@hetmem/kernel";
import { PMD_SIZE } from "@hetmem/page-table";
import { type Attribute, type AttributeTable, intSysctl, sysctlBetween, ulongSysctl } from "@hetmem/vfs";
import type { Tunables } from "./tunables.ts";
import type { Vm } from "./vm.ts";

/** The file tables of a machine's address spaces. */
export function vmTables(vm: Vm): AttributeTable[] {
  const { tunables } = vm;
  return [
    {
      root: "/proc/sys/vm",
      files: {
        max_map_count: intSysctl(tunables, "maxMapCount", 0, INT_MAX),
        mmap_min_addr: intSysctl(tunables, "mmapMinAddr", 0, Number.MAX_SAFE_INTEGER),
        admin_reserve_kbytes: ulongSysctl(tunables, "adminReserveKbytes"),
        overcommit_kbytes: ulongSysctl(tunables, "overcommitKbytes", () => {
          tunables.overcommitRatio = 0;
        }),
        overcommit_memory: overcommitMemory(tunables),
        overcommit_ratio: overcommitRatio(tunables),
        user_reserve_kbytes: ulongSysctl(tunables, "userReserveKbytes"),
      },
    },
    ...(vm.transparentHugepages ? [transparentHugepageTable(tunables)] : []),
  ];
}

function transparentHugepageTable(tunables: Tunables): AttributeTable {
  return {
    root: "/sys/kernel/mm/transparent_hugepage",
    files: {
      enabled: hugepageEnabled(tunables),
      hpage_pmd_size: { show: () => `${PMD_SIZE}\n` },
    },
  };
}

/** @see overcommit_ratio_handler() */
function overcommitRatio(tunables: Tunables): Attribute {
  const ratio = intSysctl(tunables, "overcommitRatio", INT_MIN, INT_MAX);
  return {
    ...ratio,
    *store(params, text) {
      yield* ratio.store?.(params, text) ?? [];
      tunables.overcommitKbytes = 0n;
    },
  };
}

/** @see overcommit_policy_handler() in mm/util.c */
function overcommitMemory(tunables: Tunables): Attribute {
  return {
    show: () => `${tunables.overcommitMemory}\n`,
    store(_params, text) {
      tunables.overcommitMemory = sysctlBetween(text, 0, 2) as Tunables["overcommitMemory"];
    },
  };
}

const HUGEPAGE_MODES = ["always", "madvise", "never"] as const;

/** @see enabled_store() in mm/huge_memory.c */
function hugepageEnabled(tunables: Tunables): Attribute {
  return {
    show: () => `${chosen(HUGEPAGE_MODES, tunables.transparentHugepage)}\n`,
    store(_params, text) {
      const word = text.replace(/\n$/, "");
      const mode = HUGEPAGE_MODES.find((known) => known === word);
      if (!mode)
        throw new KernelError("EINVAL", `"${word}" is no mode: write one of ${HUGEPAGE_MODES.join(", ")}`);
      tunables.transparentHugepage = mode;
    },
  };
}

/** All words, the current one in brackets. */
function chosen(words: readonly string[], current: string): string {
  return words.map((word) => (word === current ? `[${word}]` : word)).join(" ");
}
