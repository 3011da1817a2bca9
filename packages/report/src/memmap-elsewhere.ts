// Struct pages in the RAM of another node than the memory that they describe: those of device memory, and with movable_node
// those of hotpluggable nodes. Kernel counterparts: altmaps in mm/memremap.c, should_skip_region() in mm/memblock.c.
import { PAGE_SIZE, type PhysAddr, physToPfn } from "@hetmem/kernel";
import type { MachineSpec } from "@hetmem/machine-spec";
import { bootStructPages, type MemoryHotplug } from "@hetmem/zone";
import { formatAddress } from "./size.ts";
import type { MachineView, MemmapElsewhere, StretchKind } from "./view.ts";

const NAMES: Readonly<Partial<Record<StretchKind, string>>> = {
  pmem: "the persistent memory",
  reserved: "the soft-reserved memory",
  gpu: "the gpu memory",
};

/** A machine that is up. */
export interface BootedMachine {
  readonly spec: MachineSpec;
  readonly hotplug: Pick<MemoryHotplug, "vmemmap">;
}

/** The view, with struct pages that are in another node's RAM. */
export function withMemmapElsewhere(view: MachineView, machine: BootedMachine): MachineView {
  return { ...view, memmapElsewhere: [...ofMovable(machine), ...ofDevices(view, machine)] };
}

/** Struct pages of hotpluggable nodes. A captured host doesn't show where they are. */
function* ofMovable({ spec }: BootedMachine): Generator<MemmapElsewhere> {
  if (spec.passthrough) return;
  for (const { of, node, frames } of bootStructPages(spec.nodes, spec.options))
    if (of !== node) yield { of: `node ${of}`, payer: node, bytes: frames * PAGE_SIZE };
}

function* ofDevices({ stretches }: MachineView, { hotplug }: BootedMachine): Generator<MemmapElsewhere> {
  for (const { start, end, kind } of stretches) {
    const name = NAMES[kind];
    if (name === undefined) continue;
    const frames = hotplug.vmemmap.framesByNode(physToPfn(start as PhysAddr), physToPfn(end as PhysAddr));
    for (const [payer, count] of frames)
      yield { of: `${name} at ${formatAddress(start)}`, payer, bytes: count * PAGE_SIZE };
  }
}
