// Counters of cgroups, cheap to change and cheap to read. A change goes into the row of its cgroup alone, and marks it;
// a read first carries what is marked into the rows of all above. So a change costs the same at any depth, and a read
// costs what has changed since the last one, however many cgroups there are. Kernel counterpart: kernel/cgroup/rstat.c.
import { ROW_ITEMS } from "./items.ts";

/** The row that is none. */
export const NO_ROW = 0;

/** Rows with something pending: with more, they are carried upwards, so that no read has to wait long. */
const MARKED_MAX = 256;

/** Here a constant of this module: one of another is read at each use. */
const ITEMS: number = ROW_ITEMS;

export class StatRows {
  /** What each row and all below it count, as of the last flush. */
  private totals: Float64Array = new Float64Array(64 * ITEMS);
  /** What has been added to each row since. */
  private pending: Int32Array = new Int32Array(64 * ITEMS);
  /** A bit an item that has something pending. */
  private marks: Int32Array = new Int32Array(64);
  /** The row that each row's counters belong to as well. */
  private parents: Int32Array = new Int32Array(64);
  /** Rows with marks. @see cgroup_rstat_updated() */
  private readonly marked: Int32Array = new Int32Array(MARKED_MAX);
  private nrMarked = 0;
  private nrRows = 1;
  private readonly free: number[] = [];

  /** A new row of zeros. @param parent NO_ROW at the top */
  create(parent: number): number {
    const row = this.free.pop() ?? this.nrRows++;
    if (row === this.marks.length) this.grow();
    this.parents[row] = parent;
    return row;
  }

  /** Nobody counts in a row any more; those above keep what it has counted. */
  release(row: number): void {
    this.flush();
    this.totals.fill(0, row * ITEMS, (row + 1) * ITEMS);
    this.free.push(row);
  }

  add(row: number, item: number, by: number): void {
    const { pending } = this;
    const at = (row * ITEMS + item) | 0;
    pending[at] = (pending[at] as number) + by;
    if (((this.marks[row] as number) & (1 << item)) === 0) this.mark(row, item);
  }

  /** What a row and all below it count. */
  total(row: number, item: number): number {
    this.flush();
    return row === NO_ROW ? 0 : (this.totals[row * ITEMS + item] as number);
  }

  /** Takes what a row counts out of it, and leaves it with those above. @returns how much that was */
  surrender(row: number, item: number): number {
    const had = this.total(row, item);
    if (row !== NO_ROW) this.totals[row * ITEMS + item] = 0;
    return had;
  }

  /** Carries what is pending upwards. @see cgroup_rstat_flush() */
  flush(): void {
    const { marked, marks } = this;
    for (let i = 0; i < this.nrMarked; i++) {
      const row = marked[i] as number;
      for (let bits = marks[row] as number; bits !== 0; bits &= bits - 1)
        this.carry(row, 31 - Math.clz32(bits & -bits));
      marks[row] = 0;
    }
    this.nrMarked = 0;
  }

  private mark(row: number, item: number): void {
    const had = this.marks[row] as number;
    this.marks[row] = had | (1 << item);
    if (had !== 0) return;
    this.marked[this.nrMarked++] = row;
    if (this.nrMarked === MARKED_MAX) this.flush();
  }

  private carry(from: number, item: number): void {
    const { pending, totals, parents } = this;
    const by = pending[from * ITEMS + item] as number;
    pending[from * ITEMS + item] = 0;
    for (let row = from; row !== NO_ROW; row = parents[row] as number) {
      const at = row * ITEMS + item;
      totals[at] = (totals[at] as number) + by;
    }
  }

  private grow(): void {
    const rows = Math.ceil(this.marks.length * 1.25);
    this.totals = larger(new Float64Array(rows * ITEMS), this.totals);
    this.pending = larger(new Int32Array(rows * ITEMS), this.pending);
    this.marks = larger(new Int32Array(rows), this.marks);
    this.parents = larger(new Int32Array(rows), this.parents);
  }
}

function larger<A extends Float64Array | Int32Array>(fresh: A, old: A): A {
  fresh.set(old);
  return fresh;
}
