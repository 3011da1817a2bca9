// One named range of physical addresses and its place in the tree: parent, children, siblings. The kernel chains
// siblings in a list; here a parent holds them in one sorted array of disjoint ranges, so that a lookup among
// thousands of hot-added blocks is a binary search. A tree is its root resource. Kernel counterpart: struct resource
// in include/linux/ioport.h, iomem_resource in kernel/resource.c.
import { bugOn, type PhysAddr, physAddr } from "@hetmem/kernel";
import {
  IORES_DESC_NONE,
  type IoresDesc,
  IORESOURCE_IO,
  IORESOURCE_MEM,
  IORESOURCE_TYPE_BITS,
} from "./flags.ts";
import "./version.ts";

export interface ResourceInit {
  readonly name: string;
  /** First byte. */
  readonly start: number;
  /** Last byte of the range. */
  readonly end: number;
  /** IORESOURCE_MEM when absent. */
  readonly flags?: number;
  readonly desc?: IoresDesc;
}

/**
 * Only the functions of this package change the range and place of a resource; drivers may change its flags and
 * descriptor.
 */
export class Resource {
  name: string;
  /** First byte. */
  start: PhysAddr;
  /** Last byte, as in the kernel. */
  end: PhysAddr;
  flags: number;
  desc: IoresDesc;
  /** The enclosing resource; undefined for a root and for a resource in no tree. */
  parent: Resource | undefined;
  /** Resources directly inside, lowest address first. */
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

  /** The next resource at higher addresses with the same parent. */
  get sibling(): Resource | undefined {
    const siblings = this.parent?.children;
    return siblings?.[siblings.indexOf(this) + 1];
  }

  /**
   * Whether the resource has all of these flags, and this descriptor unless `desc` is IORES_DESC_NONE.
   *
   * @see is_type_match()
   */
  matches(flags: number, desc: IoresDesc): boolean {
    return (this.flags & flags) === (flags | 0) && (desc === IORES_DESC_NONE || desc === this.desc);
  }

  /** Whether the resource contains any byte of start..end. @see resource_overlaps() */
  overlaps(start: number, end: number): boolean {
    return this.start <= end && this.end >= start;
  }

  /** Whether the resource contains every byte of start..end. */
  contains(start: number, end: number): boolean {
    return this.start <= start && this.end >= end;
  }

  /** `dax0.0 [mem 0x101200000-0x13fffffff]`: the name, then the range in the format of the kernel's %pR. */
  toString(): string {
    const isIo = (this.flags & IORESOURCE_TYPE_BITS) === IORESOURCE_IO;
    const digits = isIo ? 4 : 8;
    return `${this.name} [${isIo ? "io " : "mem"} 0x${hex(this.start, digits)}-0x${hex(this.end, digits)}]`;
  }
}

/** A root resource, which represents the whole tree as `iomem_resource` does. */
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

/** The root of the tree that a resource is in. */
export function rootOf(resource: Resource): ResourceTree {
  let root = resource;
  while (root.parent) root = root.parent;
  return root;
}

/** All descendants of a resource in the order of /proc/iomem: parents before their children. */
export function* descendants(resource: Resource): Generator<Resource, void, void> {
  for (const child of resource.children) {
    yield child;
    yield* descendants(child);
  }
}

/** Index of the first child that ends at or after an address. */
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

/** A number in lower-case hexadecimal, zero-padded to `digits`. */
export function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function isAddress(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
