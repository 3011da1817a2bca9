// The pages that a cgroup pays for: by the cgroups below it, by process, by contents, by node and by device. Every call counts
// anew from page tables and struct pages, so that charging keeps no data for it. The kernel has no counterpart: it finds
// the cgroup of a page (page_memcg()), and not the pages of a cgroup.
import type { MemoryCgroup, MemoryCgroups } from "@hetmem/memcg";
import {
  type AttributionNames,
  countChargedPages,
  type DevicePart,
  type NamedPart,
  type NodePart,
} from "./charged-pages.ts";
import { countMappedPages, type ProcessPart } from "./mapped-pages.ts";
import { CgroupScope } from "./scope.ts";
import "./version.ts";

/** Pages charged to one cgroup of the subtree itself. */
export interface CgroupPart {
  readonly path: string;
  /** False for a removed cgroup, which exists as long as pages are charged to it. */
  readonly online: boolean;
  readonly pages: number;
  readonly swapPages: number;
}

/** All numbers are pages. Each of the lists adds up to `pages`, but for what its own comment says. */
export interface Attribution {
  readonly cgroup: string;
  /** Pages charged to the cgroup and those below it. */
  readonly pages: number;
  readonly swapPages: number;
  readonly cgroups: readonly CgroupPart[];
  /** Processes that map some of the pages, or have some in swap. Their shares, `unmapped`, `stocked` and `objects` add up to `pages`. */
  readonly processes: readonly ProcessPart[];
  /** Pages that no process maps: of files, of the kernel, in the swap cache. */
  readonly unmapped: number;
  /** Pages charged in advance, in the stocks of cpus. */
  readonly stocked: number;
  /** Pages charged for objects and sockets of the kernel, which have no struct page in this model. */
  readonly objects: number;
  /** By contents; with `stocked` and `objects` they add up to `pages`. */
  readonly holdings: readonly NamedPart[];
  /** By node; with `stocked` and `objects` they add up to `pages`. */
  readonly nodes: readonly NodePart[];
  /** The pages that are device memory, by device. */
  readonly devices: readonly DevicePart[];
}

/** Counts the pages charged to a cgroup and those below it, at this moment. @param names how devices and files are called */
export function attributeMemory(
  memcgs: MemoryCgroups,
  cgroup: MemoryCgroup,
  names: AttributionNames = {},
): Attribution {
  const scope = new CgroupScope(memcgs, cgroup);
  const { processes, fileNames } = countMappedPages(memcgs, scope);
  const charged = countChargedPages(memcgs, scope, fileNames, names);
  const stocked = scope.cgroups.reduce((sum, { id }) => sum + memcgs.stocks.of(id), 0);
  const pages = cgroup.isRoot ? charged.pages + stocked : cgroup.memory.usage;
  return {
    cgroup: cgroup.path,
    pages,
    swapPages: scope.swapSlots,
    cgroups: scope.cgroups.map((member) => ({
      path: member.path,
      online: member.online,
      pages: charged.byCgroup.get(member) ?? 0,
      swapPages: memcgs.ids.slots[member.id] as number,
    })),
    processes,
    unmapped: charged.unmapped,
    stocked,
    objects: pages - charged.pages - stocked,
    holdings: charged.holdings,
    nodes: charged.nodes,
    devices: charged.devices,
  };
}
