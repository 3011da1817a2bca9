// One range of physical addresses with a name and an owner, and its place in the tree: inside its parent, over its
// children, beside its siblings. The kernel chains siblings in a list; here a parent holds them in one array, sorted
// and disjoint, so that looking among thousands of hot-added blocks is a binary search. A tree is its root resource.
// Kernel counterpart: struct resource in include/linux/ioport.h, iomem_resource in kernel/resource.c.
import { bugOn, type PhysAddr, physAddr } from "@hetmem/kernel";
import {
  IORES_DESC_NONE,
  type IoresDesc,
  IORESOURCE_IO,
  IORESOURCE_MEM,
  IORESOURCE_TYPE_BITS,
} from "./flags.ts";

export interface ResourceInit {
  readonly name: string;
  /** First byte. */
  readonly start: number;
  /** Last byte: the range includes it. */
  readonly end: number;
  /** IORESOURCE_MEM when absent. */
  readonly flags?: number;
  readonly desc?: IoresDesc;
}

/** Where a resource stands is changed only by the functions of this package; a driver may change its flags and descriptor. */
export class Resource {
  name: string;
  /** First byte. */
  start: PhysAddr;
  /** Last byte, as the kernel has it. */
  end: PhysAddr;
  flags: number;
  desc: IoresDesc;
  /** What it lies in; nothing while it is in no tree, and for a root. */
  parent: Resource | undefined;
  /** What lies in it, lowest address first. */
  children: Resource[] = [];

  constructor({ name, start, end, flags = IORESOURCE_MEM, desc = IORES_DESC_NONE }: ResourceInit) {
    bugOn(
      !isAddress(start) || !(isAddress(end) || end === start - 1),
      `${name}: ${start}-${end} are not addresses`,
    );
    this.name = name;
    this.start = physAddr(start);
    this.end = physAddr(end);
    this.flags = flags | 0;
    this.desc = desc;
  }

  /** Bytes. @see resource_size() */
  get size(): number {
    return this.end - this.start + 1;
  }

  /** The next one at higher addresses in the same parent. */
  get sibling(): Resource | undefined {
    const siblings = this.parent?.children;
    return siblings?.[siblings.indexOf(this) + 1];
  }

  /** Whether it has all of these flags, and this descriptor unless IORES_DESC_NONE is asked for. @see is_type_match() */
  matches(flags: number, desc: IoresDesc): boolean {
    return (this.flags & flags) === (flags | 0) && (desc === IORES_DESC_NONE || desc === this.desc);
  }

  /** Whether any byte of start..end is in it. @see resource_overlaps() */
  overlaps(start: number, end: number): boolean {
    return this.start <= end && this.end >= start;
  }

  /** Whether every byte of start..end is in it. */
  contains(start: number, end: number): boolean {
    return this.start <= start && this.end >= end;
  }

  /** `dax0.0 [mem 0x101200000-0x13fffffff]`: the name, then what the kernel's %pR prints. */
  toString(): string {
    const isIo = (this.flags & IORESOURCE_TYPE_BITS) === IORESOURCE_IO;
    const digits = isIo ? 4 : 8;
    return `${this.name} [${isIo ? "io " : "mem"} 0x${hex(this.start, digits)}-0x${hex(this.end, digits)}]`;
  }
}

/** A root resource, which stands for the whole tree, as `iomem_resource` does. */
export type ResourceTree = Resource;

/**
 * An empty tree of physical memory addresses.
 *
 * @param physicalBits the width of the processor's physical addresses, 52 at most
 * @see iomem_resource in kernel/resource.c, whose end identify_cpu() in arch/x86/kernel/cpu/common.c sets
 */
export function createIomem(physicalBits = 52): ResourceTree {
  bugOn(
    !Number.isInteger(physicalBits) || physicalBits < 32 || physicalBits > 52,
    `${physicalBits} physical address bits`,
  );
  return new Resource({ name: "PCI mem", start: 0, end: 2 ** physicalBits - 1, flags: IORESOURCE_MEM });
}

/** An empty tree of I/O ports. @see ioport_resource in kernel/resource.c */
export function createIoports(): ResourceTree {
  return new Resource({ name: "PCI IO", start: 0, end: 0xffff, flags: IORESOURCE_IO });
}

/** The tree's root, from anything in it. */
export function rootOf(resource: Resource): ResourceTree {
  let root = resource;
  while (root.parent) root = root.parent;
  return root;
}

/** Everything under a resource, parents before their children, in the order in which /proc/iomem lists it. */
export function* descendants(resource: Resource): Generator<Resource, void, void> {
  for (const child of resource.children) {
    yield child;
    yield* descendants(child);
  }
}

/** The place among a parent's children of the first that ends at or after an address. */
export function firstChildFrom(parent: Resource, address: number): number {
  const { children } = parent;
  let low = 0;
  let high = children.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((children[middle]?.end ?? 0) < address) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A number in lower-case hexadecimal, at least so many digits. */
export function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function isAddress(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
