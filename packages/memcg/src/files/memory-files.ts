// The memory.* files of a cgroup in the unified hierarchy. Kernel counterparts: memory_files[] and swap_files[] in
// mm/memcontrol.c, cgroup_psi_files[] in kernel/cgroup/cgroup.c.
import type { CgroupFile } from "@hetmem/cgroup";
import { KernelError, kstrtoint, PAGE_SIZE } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import type { Limits } from "../limits/limits.ts";
import { MEMORY_EVENTS, type MemoryCgroup, type MemoryEvent } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import { memoryNumaStatText, memoryStatText } from "../stat/memory-stat.ts";
import { counterLine, parseCounter } from "./counter-text.ts";

export type MemoryFile = CgroupFile<MemoryCgroup>;

export interface MemoryFilesOptions {
  readonly memcgs: MemoryCgroups;
  readonly limits: Limits;
  /** The process that writes a file; a write ends early when it is killed. undefined for none. */
  readonly writer: () => Process | undefined;
  /** Whether pressure stall information is enabled. @see psi= in Documentation/admin-guide/kernel-parameters.txt */
  readonly psi: boolean;
}

/** Events in memory.events; the others are in memory.swap.events. */
const OF_MEMORY: readonly MemoryEvent[] = MEMORY_EVENTS.filter((event) => !event.startsWith("swap_"));
const OF_SWAP: readonly MemoryEvent[] = MEMORY_EVENTS.filter((event) => event.startsWith("swap_"));

/** Files by name without `memory.`. @see memory_files[], swap_files[] */
export function memoryFiles({
  memcgs,
  limits,
  writer,
  psi,
}: MemoryFilesOptions): Readonly<Record<string, MemoryFile>> {
  return {
    current: { notOnRoot: true, show: ({ memory }) => `${memory.usage * PAGE_SIZE}\n` },
    events: { notOnRoot: true, show: (cgroup) => eventLines(OF_MEMORY, (event) => cgroup.events(event)) },
    "events.local": {
      notOnRoot: true,
      show: (cgroup) => eventLines(OF_MEMORY, (event) => cgroup.localEvents(event)),
    },
    high: {
      notOnRoot: true,
      show: ({ memory }) => counterLine(memory.high),
      store: (cgroup, text) => limits.setHigh(cgroup, parseCounter(text, "max"), writer()),
    },
    low: {
      notOnRoot: true,
      show: ({ memory }) => counterLine(memory.low),
      store: ({ memory }, text) => memory.setLow(parseCounter(text, "max")),
    },
    max: {
      notOnRoot: true,
      show: ({ memory }) => counterLine(memory.max),
      store: (cgroup, text) => limits.setMax(cgroup, parseCounter(text, "max"), writer()),
    },
    min: {
      notOnRoot: true,
      show: ({ memory }) => counterLine(memory.min),
      store: ({ memory }, text) => memory.setMin(parseCounter(text, "max")),
    },
    numa_stat: { show: (cgroup) => memoryNumaStatText(memcgs, cgroup) },
    "oom.group": {
      notOnRoot: true,
      show: ({ oomGroup }) => `${oomGroup ? 1 : 0}\n`,
      store(cgroup, text) {
        cgroup.oomGroup = zeroOrOne(text) === 1;
      },
    },
    peak: { notOnRoot: true, show: ({ memory }) => `${memory.watermark * PAGE_SIZE}\n` },
    ...(psi && { pressure: { show: (cgroup: MemoryCgroup) => limits.stalls.text(cgroup) } }),
    reclaim: { store: (cgroup, text) => limits.reclaim(cgroup, parseCounter(text, ""), writer()) },
    stat: { show: (cgroup) => memoryStatText(memcgs, cgroup) },
    ...(memcgs.built.has("SWAP") && swapFiles),
  };
}

/** @see swap_files[] */
const swapFiles: Readonly<Record<string, MemoryFile>> = {
  "swap.current": { notOnRoot: true, show: ({ swap }) => `${swap.usage * PAGE_SIZE}\n` },
  "swap.events": {
    notOnRoot: true,
    show: (cgroup) => eventLines(OF_SWAP, (event) => cgroup.events(event)).replaceAll("swap_", ""),
  },
  "swap.high": {
    notOnRoot: true,
    show: ({ swap }) => counterLine(swap.high),
    store({ swap }, text) {
      swap.high = parseCounter(text, "max");
    },
  },
  "swap.max": {
    notOnRoot: true,
    show: ({ swap }) => counterLine(swap.max),
    // Usage above the new limit stays: swapped-out pages can't be reclaimed.
    store({ swap }, text) {
      swap.max = parseCounter(text, "max");
    },
  },
};

function eventLines(events: readonly MemoryEvent[], count: (event: MemoryEvent) => number): string {
  return events.map((event) => `${event} ${count(event)}\n`).join("");
}

/** @throws KernelError EINVAL, ERANGE @see memory_oom_group_write() */
function zeroOrOne(text: string): number {
  const value = kstrtoint(text.trim(), "any");
  if (value !== 0 && value !== 1) throw new KernelError("EINVAL", `${value} is neither 0 nor 1`);
  return value;
}
