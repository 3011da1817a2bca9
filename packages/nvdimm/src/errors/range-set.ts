// A set of addresses as sorted, disjoint ranges: poisoned, known bad or injected ones. Touching ranges are merged.
// Kernel counterpart: the list of struct badrange_entry in drivers/nvdimm/badrange.c, whose entries may overlap and
// are merged by readers.

/** Addresses from `start` up to, not including, `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export class RangeSet {
  #ranges: readonly Range[];

  /** @param ranges ranges of another set: sorted and disjoint */
  constructor(ranges: readonly Range[] = []) {
    this.#ranges = ranges;
  }

  /** Lowest first. */
  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** Adds addresses. @returns the parts that were new @see badrange_add() */
  add(start: number, end: number): Range[] {
    if (end <= start) return [];
    const added = new RangeSet([{ start, end }]);
    for (const known of this.within(start, end)) added.remove(known.start, known.end);
    const touching = this.#ranges.filter((range) => range.start <= end && range.end >= start);
    const merged = {
      start: Math.min(start, ...touching.map((range) => range.start)),
      end: Math.max(end, ...touching.map((range) => range.end)),
    };
    const apart = this.#ranges.filter((range) => range.start > end || range.end < start);
    this.#ranges = [...apart, merged].sort((one, other) => one.start - other.start);
    return [...added.ranges];
  }

  /** Removes addresses, splitting ranges if needed. @see badrange_forget() */
  remove(start: number, end: number): void {
    if (end <= start) return;
    this.#ranges = this.#ranges.flatMap((range) => {
      if (range.start >= end || range.end <= start) return [range];
      const before = range.start < start ? [{ start: range.start, end: start }] : [];
      const behind = range.end > end ? [{ start: end, end: range.end }] : [];
      return [...before, ...behind];
    });
  }

  overlaps(start: number, end: number): boolean {
    return this.#ranges.some((range) => range.start < end && range.end > start);
  }

  /** The parts of the ranges inside [start, end). */
  within(start: number, end: number): Range[] {
    return this.#ranges
      .filter((range) => range.start < end && range.end > start)
      .map((range) => ({ start: Math.max(range.start, start), end: Math.min(range.end, end) }));
  }
}
