// The online policy auto-movable: plain `online` means Movable as long as a ratio of movable to boot-time kernel memory
// holds, and a kernel zone otherwise. Kernel counterpart: auto_movable_zone_for_pfn() in mm/memory_hotplug.c.
import { alignDown, type NodeId, type Pfn } from "@hetmem/kernel";
import { PAGES_PER_SECTION, SectionFlag, sectionOfPfn } from "@hetmem/page";
import type { MemoryGroup } from "./memory-group.ts";
import { allZones, type Memory } from "./memory.ts";
import { boolParameter, type ModuleParameter, uintParameter } from "./module-parameters.ts";
import type { OnlinePolicy, OnlinePolicyHost } from "./online-policy.ts";
import type { PlacementRequest } from "./placement.ts";
import { defaultKernelZone, zoneOfNode } from "./range-zone.ts";
import { belongsTo } from "./zone-span.ts";
import { ZoneType } from "./zone-type.ts";
import type { Zone } from "./zone.ts";

/** Most movable memory, in percent of boot-time kernel memory; 0 keeps everything in kernel zones. */
export const autoMovableRatio: ModuleParameter<number> = uintParameter("auto_movable_ratio", 301);

/** Whether the ratio must also hold on the block's node. */
export const autoMovableNumaAware: ModuleParameter<boolean> = boolParameter("auto_movable_numa_aware", true);

/**
 * Movable as long as the ratio allows it for the rest of the block's device as well.
 *
 * @see e83a437faa62 ("mm/memory_hotplug: introduce "auto-movable" online policy")
 */
export const autoMovable: OnlinePolicy = {
  name: "auto-movable",
  parameters: [autoMovableRatio, autoMovableNumaAware],
  zoneFor(host, request) {
    return allows(host, request)
      ? zoneOfNode(host.memory, request.node, ZoneType.Movable)
      : defaultKernelZone(host.memory, request);
  },
};

function allows({ memory, groups, parameters }: OnlinePolicyHost, request: PlacementRequest): boolean {
  const ratio = parameters.get(autoMovableRatio);
  if (ratio === 0) return false;
  const { node, group } = request;
  const needed = pagesToCome(memory, request);
  if (needed === undefined) return false;
  const others = groups.dynamic().filter((other) => other !== group);
  const zones = [...allZones(memory)].filter((zone) => zone.populated);
  if (!keepsRatio(zones, others, group, needed, ratio)) return false;
  if (!parameters.get(autoMovableNumaAware)) return true;
  const here = (candidate: { readonly node: NodeId }): boolean => candidate.node === node;
  return keepsRatio(zones.filter(here), others.filter(here), group, needed, ratio);
}

/**
 * Pages that a device still has to online: the rest of a DIMM or of a unit follows its first block. Undefined when a part
 * of it is in a kernel zone, where the rest goes, too.
 */
function pagesToCome(memory: Memory, { node, start, pages, group }: PlacementRequest): number | undefined {
  if (!group) return pages;
  const { kind } = group;
  if (kind.type === "static")
    return group.presentKernelPages > 0 ? undefined : kind.maxPages - group.presentMovablePages;
  if (kind.unitPages === pages) return pages;
  const movable = zoneOfNode(memory, node, ZoneType.Movable);
  const first = alignDown(start, kind.unitPages);
  let online = 0;
  for (let frame = first; frame < first + kind.unitPages; frame += PAGES_PER_SECTION) {
    if (!memory.memmap.sections.has(sectionOfPfn(frame as Pfn), SectionFlag.online)) continue;
    if (!belongsTo(memory, movable, frame as Pfn)) return undefined;
    online += PAGES_PER_SECTION;
  }
  return kind.unitPages - online;
}

/** @see auto_movable_can_online_movable() */
function keepsRatio(
  zones: readonly Zone[],
  otherGroups: readonly MemoryGroup[],
  group: MemoryGroup | undefined,
  pages: number,
  ratio: number,
): boolean {
  let kernelEarly = 0;
  let movable = 0;
  for (const zone of zones) {
    if (zone.type === ZoneType.Movable) movable += zone.presentPages;
    else kernelEarly += zone.presentEarlyPages;
  }
  let claimed = 0;
  for (const other of otherGroups) {
    claimed += Math.max(Math.floor((other.presentMovablePages * 100) / ratio) - other.presentKernelPages, 0);
    movable -= other.presentMovablePages;
  }
  if (kernelEarly <= claimed) return false;
  kernelEarly -= claimed;
  if (group?.kind.type === "dynamic") kernelEarly += group.presentKernelPages;
  return movable + pages <= Math.floor((ratio * kernelEarly) / 100);
}
