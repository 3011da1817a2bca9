// A pagemap: ranges of a device's memory that have struct pages, who drives them, and the reference that keeps the
// mapping alive. A driver makes one, fills in what it is, and maps it. Kernel counterpart: struct dev_pagemap and
// struct dev_pagemap_ops in include/linux/memremap.h.
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

/**
 * Port: what a driver does with its pages. Methods, so that a driver may write the machine's own type for the fault,
 * which no package below mm knows.
 *
 * @see struct dev_pagemap_ops
 */
export interface DevPagemapOps {
  /** A page became idle: it is the driver's to hand out again. Called exactly once each time. */
  pageFree?(page: Page): void;
  /**
   * The cpu touched a private page: the driver moves it to where the cpu reaches it.
   *
   * @returns vm_fault_t bits
   */
  migrateToRam?(fault: object, page: Page): Sleeps<number>;
  /**
   * Frames went bad: the driver tells who uses them.
   *
   * @param current the process that runs when it shows up; undefined when it has nothing to do with it
   * @throws KernelError EOPNOTSUPP when it can tell nobody
   */
  memoryFailure?(pagemap: DevPagemap, frame: Pfn, pages: number, current: object | undefined): Sleeps<void>;
}

/** What a driver says of its memory. */
export interface DevPagemapInit {
  readonly type: MemoryType;
  /** For messages: "pmem0", "dax0.0". */
  readonly name: string;
  /** In bytes, disjoint. With an altmap there is exactly one. */
  readonly ranges: readonly ByteRange[];
  readonly ops?: DevPagemapOps;
  /** Who manages it: nobody migrates pages of another owner. */
  readonly owner?: unknown;
  /** Order of the compound pages that the memory is used in; 0 where absent. @see dev_pagemap::vmemmap_shift */
  readonly vmemmapShift?: number;
  /** Frames at the start that the driver keeps, and frames behind them for the struct pages of the whole range. */
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
  /** Order of the compound pages that the memory is used in: what their struct pages cost depends on it. */
  readonly vmemmapShift: number;
  /** The ranges in frames. */
  readonly spans: readonly FrameSpan[];
  /** Where its struct pages are kept, if they are in the device itself. Fresh with each mapping. */
  altmap: Altmap | undefined;
  /** Live while it is mapped. Fresh with each mapping. */
  ref: PercpuRef;
  /** Whoever releases it waits here until nobody is between looking it up and taking a page. */
  readonly lookups: WaitQueue;
  /** Whether it is so far released that the last put of a page gives up that page's reference. */
  pagesDropped = false;
  /** Its number in struct pages, 0 while it isn't mapped. */
  id = 0;
  /** Ranges that are mapped by now. */
  mappedRanges = 0;
  /** References of a page that nobody uses. */
  idleCount: 0 | 1 = 1;
  /** The first span, apart: what the cached lookup compares with. */
  firstFrame: number;
  endFrame: number;
  readonly #altmapInit: { readonly reserve: number; readonly free: number } | undefined;

  /** @throws KernelError EINVAL for no range, or one that isn't whole pages */
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
   * Makes what one mapping needs anew: a live reference, and an altmap of which nothing is used.
   *
   * @param base the first frame that is mapped, which may lie before the range; what is before it is kept for nobody
   */
  renew(base: Pfn): void {
    const init = this.#altmapInit;
    this.ref = new PercpuRef(`the pagemap of ${this.name}`);
    this.pagesDropped = false;
    this.altmap = init && new Altmap(base, this.firstFrame - base + init.reserve, init.free);
  }

  /** The first frame of a range that is the device's to hand out: behind the altmap. @see pfn_first() */
  firstPfn(range: number): Pfn {
    if (range === 0 && this.altmap) return (this.altmap.basePfn + this.altmap.offset) as Pfn;
    return (this.spans[range]?.start ?? 0) as Pfn;
  }

  /** @see pfn_end() */
  endPfn(range: number): Pfn {
    return (this.spans[range]?.end ?? 0) as Pfn;
  }

  /** Frames of a range that the device hands out. @see pfn_len() */
  pages(range: number): number {
    return this.endPfn(range) - this.firstPfn(range);
  }

  /** Whether a frame is the device's to hand out. @see pgmap_pfn_valid() */
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
