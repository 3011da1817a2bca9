// What an administrator sets: /proc/sys/vm, /proc/sys/kernel/numa_balancing and /sys/kernel/mm, over the tunables of the
// machine. A bad write changes nothing and is told as the kernel tells it. Kernel counterparts: vm_table in
// kernel/sysctl.c, hugepage_attr in mm/huge_memory.c, numa_attrs in mm/memory-tiers.c.
import { INT_MAX, INT_MIN, KernelError, kstrtobool } from "@hetmem/kernel";
import type { Attribute, AttributeTable } from "@hetmem/vfs";
import { VmEvent } from "@hetmem/zone";
import { hugetlbTables } from "../hugetlb/hugetlb-sysfs.ts";
import { dropPagecache } from "../page-cache/invalidate.ts";
import { ENTRIES, PMD_SIZE } from "../page-table/page-table.ts";
import type { Process } from "../process/process.ts";
import { swapsText } from "../swap/swaps-text.ts";
import type { Tunables } from "../tunables.ts";
import type { Vm } from "../vm.ts";
import { parseSysctl, parseUnsignedSysctl } from "./parse-sysctl.ts";

/** The tunables of one kind: those that are numbers, or those that are switches. */
type NamesOf<T> = { [K in keyof Tunables]: T extends Tunables[K] ? K : never }[keyof Tunables];

/** A task, as the log names it. */
export type LoggedTask = Pick<Process, "pid" | "comm">;

/**
 * /proc/swaps, /proc/sys and /sys/kernel/mm.
 *
 * @param writer the task that writes to a file just now
 */
export function sysctlTables(vm: Vm, writer: () => LoggedTask): AttributeTable[] {
  const { khugepaged, tunables, swap } = vm;
  return [
    {
      root: "/proc",
      files: {
        swaps: { show: () => swapsText(swap) },
        "sys/kernel/numa_balancing": onOff(tunables, "numaBalancing", 4),
      },
    },
    ...hugetlbTables(vm),
    {
      root: "/proc/sys/vm",
      files: {
        drop_caches: dropCaches(vm, writer),
        max_map_count: numeric(tunables, "maxMapCount", 0, INT_MAX),
        mmap_min_addr: numeric(tunables, "mmapMinAddr", 0, Number.MAX_SAFE_INTEGER),
        oom_kill_allocating_task: onOff(tunables, "oomKillAllocatingTask", INT_MAX, INT_MIN),
        admin_reserve_kbytes: unsigned(tunables, "adminReserveKbytes"),
        overcommit_kbytes: unsigned(tunables, "overcommitKbytes", () => {
          tunables.overcommitRatio = 0;
        }),
        overcommit_memory: overcommitMemory(tunables),
        overcommit_ratio: overcommitRatio(tunables),
        swappiness: numeric(tunables, "swappiness", 0, 200),
        user_reserve_kbytes: unsigned(tunables, "userReserveKbytes"),
      },
    },
    {
      root: "/sys/kernel/mm",
      files: {
        "numa/demotion_enabled": {
          show: () => `${tunables.demotionEnabled}\n`,
          store(_params, text) {
            tunables.demotionEnabled = kstrtobool(text);
          },
        },
        "transparent_hugepage/enabled": hugepageEnabled(tunables),
        "transparent_hugepage/hpage_pmd_size": { show: () => `${PMD_SIZE}\n` },
      },
    },
    {
      root: "/sys/kernel/mm/transparent_hugepage/khugepaged",
      files: {
        full_scans: { show: () => `${khugepaged.fullScans}\n` },
        max_ptes_none: numeric(tunables, "khugepagedMaxPtesNone", 0, ENTRIES - 1),
        max_ptes_shared: numeric(tunables, "khugepagedMaxPtesShared", 0, ENTRIES - 1),
        max_ptes_swap: numeric(tunables, "khugepagedMaxPtesSwap", 0, ENTRIES - 1),
        pages_collapsed: { show: () => `${khugepaged.pagesCollapsed}\n` },
        pages_to_scan: numeric(tunables, "khugepagedPagesToScan", 1, INT_MAX),
        scan_sleep_millisecs: numeric(tunables, "khugepagedScanSleepMillisecs", 0, INT_MAX),
      },
    },
  ];
}

/** @see proc_dointvec_minmax() in kernel/sysctl.c */
function numeric(tunables: Tunables, name: NamesOf<number>, least: number, most: number): Attribute {
  return {
    show: () => `${tunables[name]}\n`,
    store(_params, text) {
      tunables[name] = between(text, least, most);
    },
  };
}

/** A number of which the model knows only whether it is zero. */
function onOff(tunables: Tunables, name: NamesOf<boolean>, most: number, least = 0): Attribute {
  return {
    show: () => `${Number(tunables[name])}\n`,
    store(_params, text) {
      tunables[name] = between(text, least, most) !== 0;
    },
  };
}

/**
 * 1: pages of files; 2: the kernel's own objects, which take nothing here; 3: both. Each write is told in the log until
 * one has had bit 2.
 *
 * @see drop_caches_sysctl_handler() in fs/drop_caches.c
 */
function dropCaches(vm: Vm, writer: () => LoggedTask): Attribute {
  let silent = false;
  return {
    *store(_params, text) {
      const what = between(text, 1, 4);
      if ((what & 1) !== 0) yield* dropPagecache(vm);
      if ((what & 2) !== 0) vm.memory.allocator.countEvent(VmEvent.drop_slab, 1);
      if (silent) return;
      const { comm, pid } = writer();
      vm.kernel.log.printk(6, `${comm} (${pid}): drop_caches: ${what}`);
      silent = (what & 4) !== 0;
    },
  };
}

/** 64 bits without a sign. @see proc_doulongvec_minmax() */
function unsigned(tunables: Tunables, name: NamesOf<bigint>, written?: () => void): Attribute {
  return {
    show: () => `${tunables[name]}\n`,
    store(_params, text) {
      tunables[name] = parseUnsignedSysctl(text);
      written?.();
    },
  };
}

/** @see overcommit_ratio_handler() */
function overcommitRatio(tunables: Tunables): Attribute {
  const ratio = numeric(tunables, "overcommitRatio", INT_MIN, INT_MAX);
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
      tunables.overcommitMemory = between(text, 0, 2) as Tunables["overcommitMemory"];
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

/** All words, with the one that counts in brackets. */
function chosen(words: readonly string[], current: string): string {
  return words.map((word) => (word === current ? `[${word}]` : word)).join(" ");
}

/** @throws KernelError EINVAL for what is no number, or out of bounds */
function between(text: string, least: number, most: number): number {
  const value = parseSysctl(text);
  if (value >= least && value <= most) return value;
  throw new KernelError("EINVAL", `${value} is out of bounds: write ${least} to ${most}`);
}
