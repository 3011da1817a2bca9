// A pagemap: ranges of device memory that have struct pages, the driver's callbacks for them, and the reference count
// that keeps the mapping alive. A driver creates one, fills in its description, and maps it. Kernel counterpart:
// struct dev_pagemap and struct dev_pagemap_ops in include/linux/memremap.h.
import {
  KernelError,
  type Page,
  PAGE_SIZE,
  PercpuRef,
  type Pfn,
  type Sleeps,
  WaitQueue,
} from "@hetmem/kernel";
import { Altmap } from "@hetmem/zone";
import type { MemoryType } from "./memory-type.ts";
import type { ByteRange } from "./policies.ts";
import "./version.ts";

/**
 * Port: a driver's callbacks for its pages. The callbacks are declared as methods, so that a driver may narrow
 * `fault` to mm's fault type, which this package can't name.
 *
 * @see struct dev_pagemap_ops
 */
export interface DevPagemapOps {
  /** A page became idle, and the driver may hand it out again. Called exactly once each time. */
  pageFree?(page: Page): void;
  /**
   * The cpu faulted on a device private page: the driver migrates it to RAM.
   *
   * @returns vm_fault_t bits
   */
  migrateToRam?(fault: object, page: Page): Sleeps<number>;
  /**
   * Frames went bad: the driver signals the processes that use them.
   *
   * @param current the process whose access hit the bad memory, undefined without one
   * @throws KernelError EOPNOTSUPP when the driver can't find the users of a page
   */
  memoryFailure?(pagemap: DevPagemap, frame: Pfn, pages: number, current: object | undefined): Sleeps<void>;
}

/** A driver's description of its memory. */
export interface DevPagemapInit {
  readonly type: MemoryType;
  /** Name for messages: "pmem0", "dax0.0". */
  readonly name: string;
  /** Disjoint ranges in bytes. With an altmap there must be exactly one. */
  readonly ranges: readonly ByteRange[];
  readonly ops?: DevPagemapOps;
  /** Identity of the managing driver. migrate_vma and HMM act only on pages of their own owner. */
  readonly owner?: unknown;
  /** Order of the compound pages in which the memory is used; 0 when absent. @see dev_pagemap::vmemmap_shift */
  readonly vmemmapShift?: number;
  /** Frames at the start reserved for the driver, and frames after them for the struct pages of the whole range. */
  readonly altmap?: { readonly reserve: number; readonly free: number };
}

/** A range in frames. */
export interface FrameSpan {
  readonly start: Pfn;
  readonly end: Pfn;
}

export class DevPagemap {
  readonly type: MemoryType;
  readonly name: string;
  readonly ranges: readonly ByteRange[];
  readonly ops: DevPagemapOps;
  readonly owner: unknown;
  /** Order of the compound pages in which the memory is used. Determines the memory used for struct pages. */
  readonly vmemmapShift: number;
  /** The ranges in frames. */
  readonly spans: readonly FrameSpan[];
  /** The allocator of struct pages inside the device, if they are kept there. Renewed with each mapping. */
  altmap: Altmap | undefined;
  /** Live while the pagemap is mapped. Renewed with each mapping. */
  ref: PercpuRef;
  /**
   * Unmapping waits here for tasks that have looked the pagemap up and haven't yet taken a page or dropped the
   * reference.
   */
  readonly lookups: WaitQueue;
  /**
   * Set by unmapping once the references of idle pages are dropped: from then on the last put of a page drops its
   * own.
   */
  pagesDropped = false;
  /** The number that struct pages refer to it by; 0 while unmapped. */
  id = 0;
  /** Number of ranges mapped so far. */
  mappedRanges = 0;
  /** Refcount of an idle page. */
  idleCount: 0 | 1 = 1;
  /** Bounds of the first span as fields of their own, for the fast path of getDevPagemap(). */
  firstFrame: number;
  endFrame: number;
  readonly #altmapInit: { readonly reserve: number; readonly free: number } | undefined;

  /** @throws KernelError EINVAL without a range, or for a range that isn't whole pages */
  constructor({ type, name, ranges, ops = {}, owner, vmemmapShift = 0, altmap }: DevPagemapInit) {
    this.type = type;
    this.name = name;
    this.ranges = ranges;
    this.ops = ops;
    this.owner = owner;
    this.vmemmapShift = vmemmapShift;
    this.spans = ranges.map((range) => spanOf(name, range));
    const [first] = this.spans;
    if (!first) throw new KernelError("EINVAL", `${name} maps no range: give it one`);
    this.firstFrame = first.start;
    this.endFrame = first.end;
    this.#altmapInit = altmap;
    this.ref = new PercpuRef(name);
    this.lookups = new WaitQueue(`the last lookup of ${name}`);
  }

  /**
   * Renews the state of one mapping: a live reference count, and an unused altmap.
   *
   * @param base the first mapped frame, which may lie before the range; frames before the range are reserved
   */
  renew(base: Pfn): void {
    const init = this.#altmapInit;
    this.ref = new PercpuRef(`the pagemap of ${this.name}`);
    this.pagesDropped = false;
    this.altmap = init && new Altmap(base, this.firstFrame - base + init.reserve, init.free);
  }

  /** The first frame of a range that the device hands out: after the altmap. @see pfn_first() */
  firstPfn(range: number): Pfn {
    if (range === 0 && this.altmap) return (this.altmap.basePfn + this.altmap.offset) as Pfn;
    return (this.spans[range]?.start ?? 0) as Pfn;
  }

  /** @see pfn_end() */
  endPfn(range: number): Pfn {
    return (this.spans[range]?.end ?? 0) as Pfn;
  }

  /** Number of frames of a range that the device hands out. @see pfn_len() */
  pages(range: number): number {
    return this.endPfn(range) - this.firstPfn(range);
  }

  /** Whether the device hands out a frame. @see pgmap_pfn_valid() */
  pfnValid(frame: Pfn): boolean {
    return this.spans.some((span, i) => frame >= this.firstPfn(i) && frame < span.end);
  }

  toString(): string {
    const ranges = this.ranges.map(
      ({ start, size }) => `0x${start.toString(16)}-0x${(start + size - 1).toString(16)}`,
    );
    return `${this.name} [mem ${ranges.join(", ")}]`;
  }
}

function spanOf(name: string, { start, size }: ByteRange): FrameSpan {
  if (!(size > 0) || start % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0) {
    throw new KernelError(
      "EINVAL",
      `${name}: 0x${start.toString(16)}+0x${size.toString(16)} is not a whole number of pages`,
    );
  }
  return { start: (start / PAGE_SIZE) as Pfn, end: ((start + size) / PAGE_SIZE) as Pfn };
}
