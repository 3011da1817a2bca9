// Which pages a cgroup pays for: by the cgroups below it, by process, by what they hold, by node and by device. The kernel
// has no counterpart: it knows a page's cgroup, and not the other way round. All is counted anew from page tables and
// struct pages when somebody asks, so that nothing is kept for it.
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import {
  type AttributionNames,
  countChargedPages,
  type DevicePart,
  type NamedPart,
  type NodePart,
} from "./charged-pages.ts";
import { countMappedPages, type ProcessPart } from "./mapped-pages.ts";
import { CgroupScope } from "./scope.ts";

/** What a cgroup below pays for itself. */
export interface CgroupPart {
  readonly path: string;
  /** False: it was removed, and what it pays for keeps it. */
  readonly online: boolean;
  readonly pages: number;
  readonly swapPages: number;
}

/** All numbers are pages. Each of the lists adds up to `pages`, but for what its own comment says. */
export interface Attribution {
  readonly cgroup: string;
  /** Pages that it and those below pay for. */
  readonly pages: number;
  readonly swapPages: number;
  readonly cgroups: readonly CgroupPart[];
  /** Those that map some of them, or have some in swap; `share` adds up, with `unmapped`, `stocked` and `objects`. */
  readonly processes: readonly ProcessPart[];
  /** Pages that no process maps: of files, of the kernel, on their way to swap. */
  readonly unmapped: number;
  /** Pages charged in advance, that cpus have in stock. */
  readonly stocked: number;
  /** Pages for objects and sockets of the kernel, which have no page of their own here. */
  readonly objects: number;
  /** With `stocked` and `objects`. */
  readonly holdings: readonly NamedPart[];
  /** With `stocked` and `objects`. */
  readonly nodes: readonly NodePart[];
  /** Of the pages, those of devices. */
  readonly devices: readonly DevicePart[];
}

/** Finds out what a cgroup and those below it pay for, at this moment. */
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
