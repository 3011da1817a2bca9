// The memory.* files of the legacy hierarchy, without memory.memsw.*: see the README. Kernel counterpart:
// mem_cgroup_legacy_files[] in mm/memcontrol.c.
import { KernelError, kstrtoull, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import type { PageCounter } from "../page-counter.ts";
import { byteLine, parseCounter } from "./counter-text.ts";
import { forceEmpty, type LegacyWriter, resizeMax } from "./legacy-limits.ts";
import { legacyNumaStatText, legacyStatText } from "./legacy-stat.ts";
import type { SwappinessBelow } from "./memory-controller.ts";
import type { MemoryFile } from "./memory-files.ts";

const KMEM_LIMIT_WARNING =
  "kmem.limit_in_bytes is deprecated and will be removed. Writing any value to this file has no effect. " +
  "Please report your usecase to linux-mm@kvack.org if you depend on this functionality.";

/** Files by name without `memory.`. @see mem_cgroup_legacy_files[] */
export function legacyMemoryFiles(by: LegacyWriter): Readonly<Record<string, MemoryFile>> {
  const { memcgs } = by;
  const warnOfKmemLimit = onceWarning(memcgs, KMEM_LIMIT_WARNING);
  return {
    failcnt: failcntFile(({ memory }) => memory),
    force_empty: { store: (cgroup) => forceEmpty(by, cgroup) },
    "kmem.failcnt": failcntFile(({ kmem }) => kmem),
    "kmem.limit_in_bytes": {
      show: ({ kmem }) => byteLine(kmem.max),
      // The file has had no effect since 58056f77502f.
      store(cgroup, text) {
        limitIn(cgroup, text);
        warnOfKmemLimit();
      },
    },
    "kmem.max_usage_in_bytes": watermarkFile(({ kmem }) => kmem),
    "kmem.usage_in_bytes": { show: ({ kmem }) => byteLine(kmem.usage) },
    limit_in_bytes: {
      show: ({ memory }) => byteLine(memory.max),
      store: (cgroup, text): Sleeps<void> => resizeMax(by, cgroup, limitIn(cgroup, text)),
    },
    max_usage_in_bytes: watermarkFile(({ memory }) => memory),
    numa_stat: { show: (cgroup) => legacyNumaStatText(memcgs, cgroup) },
    oom_control: {
      show: (cgroup) => `oom_kill_disable 0\nunder_oom 0\noom_kill ${cgroup.localEvents("oom_kill")}\n`,
      store: (cgroup, text) => setOomControl(cgroup, kstrtoull(text)),
    },
    stat: { show: (cgroup) => legacyStatText(memcgs, cgroup) },
    swappiness: {
      show: (cgroup) => `${swappinessOf(memcgs, cgroup)}\n`,
      store: (cgroup, text) => setSwappiness(memcgs, cgroup, kstrtoull(text)),
    },
    usage_in_bytes: { show: (cgroup) => byteLine(usage(memcgs, cgroup)) },
    use_hierarchy: {
      show: () => "1\n",
      store(_cgroup, text) {
        if (kstrtoull(text) !== 1)
          throw new KernelError("EINVAL", "memory cgroups are always charged for those below them: write 1");
      },
    },
  };
}

/** The swappiness of a new cgroup: its parent's at creation. @see mem_cgroup_css_alloc() */
export function inheritedSwappiness(memcgs: MemoryCgroups): SwappinessBelow {
  return (parent) => swappinessOf(memcgs, parent);
}

/** @see mem_cgroup_swappiness() */
function swappinessOf({ vm }: MemoryCgroups, { swappiness }: MemoryCgroup): number {
  return swappiness ?? vm.tunables.swappiness;
}

/**
 * Sets the swappiness; the root's is the machine's.
 *
 * @throws KernelError EINVAL above 200
 * @see mem_cgroup_swappiness_write()
 */
function setSwappiness({ vm }: MemoryCgroups, cgroup: MemoryCgroup, value: number): void {
  if (value > 200) throw new KernelError("EINVAL", "swappiness goes from 0 to 200");
  if (cgroup.isRoot) vm.tunables.swappiness = value;
  else cgroup.swappiness = value;
}

/** A function that logs a line on its first call only. @see pr_warn_once() */
function onceWarning({ vm }: MemoryCgroups, text: string): () => void {
  let logged = false;
  return () => {
    if (!logged) vm.kernel.log.printk(4, text);
    logged = true;
  };
}

/**
 * Usage in pages. The root's counter doesn't contain its own charges, so its usage is computed from node counters.
 *
 * @see mem_cgroup_usage()
 */
function usage({ stats }: MemoryCgroups, cgroup: MemoryCgroup): number {
  if (!cgroup.isRoot) return cgroup.memory.usage;
  return stats.allNodes(cgroup, "nr_file_pages") + stats.allNodes(cgroup, "nr_anon_pages");
}

/** Parses a limit. @throws KernelError EINVAL for other texts, and for the root @see mem_cgroup_write() */
function limitIn({ isRoot }: MemoryCgroup, text: string): number {
  const pages = parseCounter(text, "-1");
  if (isRoot) throw new KernelError("EINVAL", "the root of the memory cgroups has no limit");
  return pages;
}

/** The failcnt file; any write resets the count. @see mem_cgroup_reset() */
function failcntFile(counterOf: (cgroup: MemoryCgroup) => PageCounter): MemoryFile {
  return {
    show: (cgroup) => `${counterOf(cgroup).failcnt}\n`,
    store(cgroup) {
      counterOf(cgroup).failcnt = 0;
    },
  };
}

/** @see page_counter_reset_watermark() */
function watermarkFile(counterOf: (cgroup: MemoryCgroup) => PageCounter): MemoryFile {
  return {
    show: (cgroup) => `${counterOf(cgroup).watermark * PAGE_SIZE}\n`,
    store(cgroup) {
      const counter = counterOf(cgroup);
      counter.watermark = counter.usage;
    },
  };
}

/**
 * @throws KernelError EINVAL for the root and for values other than 0 and 1, EOPNOTSUPP for 1, which isn't modelled
 * @see mem_cgroup_oom_control_write()
 */
function setOomControl({ isRoot, path }: MemoryCgroup, value: number): void {
  if (isRoot || (value !== 0 && value !== 1))
    throw new KernelError("EINVAL", "write 0 or 1, and not for the root");
  if (value === 1)
    throw new KernelError(
      "EOPNOTSUPP",
      `${path} can't do without the OOM killer: nobody here waits for its end`,
    );
}
