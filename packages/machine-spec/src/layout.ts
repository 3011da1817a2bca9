// Physical addresses for memory that a machine file gives by size, as the firmware of a PC lays it out: from zero up, around the
// hole of PCI devices below 4 GiB, and around page 0, video memory and ROMs in the first MiB.
import { alignDown, GiB, KiB, MiB, physAddr } from "@hetmem/kernel";
import type { IomemEntry, MemoryRange } from "./machine-spec.ts";

/** A size, which is placed behind the memory before it, or a range, which is kept. */
export type MemoryWish = { readonly size: number } | MemoryRange;

const LOW_RAM: MemoryRange = range(4 * KiB, 0x9f000);
const LOW_END = MiB;
const HOLE_END = 4 * GiB;
const IOAPIC = 0xfec00000;
const LOCAL_APIC = 0xfee00000;
const KERNEL_START = 16 * MiB;

/** The hole of PCI devices in a machine whose file gives none: from 3 GiB, rounded down to a whole block, to 4 GiB. */
export function defaultPciHole(blockSize: number): MemoryRange {
  return range(alignDown(3 * GiB, blockSize), HOLE_END);
}

/**
 * Places the memory of each node, in order. Ranges keep their addresses; sizes go behind the last range placed.
 *
 * @returns the ranges of each node, whole, the first MiB not yet cut
 */
export function placeMemory(
  nodes: readonly (readonly MemoryWish[])[],
  hole: MemoryRange | undefined,
): MemoryRange[][] {
  let next = 0;
  return nodes.map((wishes) =>
    wishes.flatMap((wish) => {
      const placed = "size" in wish ? placeSize(next, wish.size, hole) : [wish];
      next = placed.at(-1)?.end ?? next;
      return placed;
    }),
  );
}

/** The parts of a range that are RAM: all but page 0, and video memory and ROMs below 1 MiB. */
export function usableRam({ start, end }: MemoryRange): MemoryRange[] {
  return [
    range(Math.max(start, LOW_RAM.start), Math.min(end, LOW_RAM.end)),
    range(Math.max(start, LOW_END), end),
  ].filter((piece) => piece.start < piece.end);
}

/**
 * /proc/iomem of such a machine.
 *
 * @param ram every range of usableRam()
 * @param devices lines of the spec's devices
 */
export function layoutIomem(
  ram: readonly MemoryRange[],
  hole: MemoryRange | undefined,
  devices: readonly IomemEntry[],
): IomemEntry[] {
  const lines: IomemEntry[] = ram.map(({ start, end }) =>
    entry(start, end, "System RAM", kernelImage(start, end)),
  );
  if (ram.some((piece) => piece.start < LOW_END)) {
    lines.push(entry(0, LOW_RAM.start, "Reserved"), entry(LOW_RAM.end, 0xa0000, "Reserved"));
    lines.push(entry(0xa0000, 0xc0000, "PCI Bus 0000:00"), entry(0xf0000, LOW_END, "System ROM"));
  }
  if (hole) {
    lines.push(entry(hole.start, Math.min(hole.end, IOAPIC), "PCI Bus 0000:00"));
    if (hole.end === HOLE_END)
      lines.push(
        entry(IOAPIC, IOAPIC + 0x400, "IOAPIC 0"),
        entry(LOCAL_APIC, LOCAL_APIC + 4 * KiB, "Local APIC"),
      );
  }
  return [...lines, ...devices].sort((a, b) => a.start - b.start);
}

function placeSize(from: number, size: number, hole: MemoryRange | undefined): MemoryRange[] {
  if (size === 0) return [];
  if (!hole || from + size <= hole.start) return [range(from, from + size)];
  if (from >= hole.start) {
    const start = Math.max(from, hole.end);
    return [range(start, start + size)];
  }
  return [range(from, hole.start), range(hole.end, hole.end + size - (hole.start - from))];
}

function kernelImage(start: number, end: number): IomemEntry[] {
  if (start > KERNEL_START || end < KERNEL_START + 32 * MiB) return [];
  return [
    entry(KERNEL_START, KERNEL_START + 10 * MiB, "Kernel code"),
    entry(KERNEL_START + 12 * MiB, KERNEL_START + 15 * MiB, "Kernel rodata"),
    entry(KERNEL_START + 16 * MiB, KERNEL_START + 18 * MiB, "Kernel data"),
    entry(KERNEL_START + 20 * MiB, KERNEL_START + 23 * MiB, "Kernel bss"),
  ];
}

function entry(start: number, end: number, name: string, children: readonly IomemEntry[] = []): IomemEntry {
  return { start: physAddr(start), end: physAddr(end - 1), name, children };
}

function range(start: number, end: number): MemoryRange {
  return { start: physAddr(start), end: physAddr(end) };
}
