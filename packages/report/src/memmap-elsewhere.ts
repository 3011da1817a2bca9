// Struct pages that are not in the RAM that they describe: those of device memory, which is no RAM, and those of movable
// memory, which the kernel keeps nothing in.
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

/** The view with what a booted machine's struct pages take of other memory. */
export function withMemmapElsewhere(view: MachineView, machine: BootedMachine): MachineView {
  return { ...view, memmapElsewhere: [...ofMovable(machine), ...ofDevices(view, machine)] };
}

/** What a node's RAM holds of another node's struct pages; a captured host says nothing of this. */
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
