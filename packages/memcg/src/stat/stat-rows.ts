// Hierarchical counters with cheap updates and reads. An update changes and marks only the row of its cgroup; a read
// first propagates marked rows to all ancestors. An update therefore costs the same at any depth, and a read costs in
// proportion to the changes since the last one, whatever the number of cgroups. Kernel counterpart:
// kernel/cgroup/rstat.c.
import { ROW_ITEMS } from "./items.ts";

/** Row number for no row. */
export const NO_ROW = 0;

/** Maximum number of marked rows before a flush, which bounds the cost of a read. */
const MARKED_MAX = 256;

/** A module-local copy: V8 reads an imported binding at each use. */
const ITEMS: number = ROW_ITEMS;

export class StatRows {
  /** Totals of each row including its descendants, as of the last flush. */
  private totals: Float64Array = new Float64Array(64 * ITEMS);
  /** Changes to each row since the last flush. */
  private pending: Int32Array = new Int32Array(64 * ITEMS);
  /** One bit per item with pending changes. */
  private marks: Int32Array = new Int32Array(64);
  /** Parent row of each row. */
  private parents: Int32Array = new Int32Array(64);
  /** Marked rows. @see cgroup_rstat_updated() */
  private readonly marked: Int32Array = new Int32Array(MARKED_MAX);
  private nrMarked = 0;
  private nrRows = 1;
  private readonly free: number[] = [];

  /** Creates a zeroed row. @param parent NO_ROW for the root */
  create(parent: number): number {
    const row = this.free.pop() ?? this.nrRows++;
    if (row === this.marks.length) this.grow();
    this.parents[row] = parent;
    return row;
  }

  /** Frees a row; the ancestors' totals keep its counts. */
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

  /** Total of a row including its descendants. */
  total(row: number, item: number): number {
    this.flush();
    return row === NO_ROW ? 0 : (this.totals[row * ITEMS + item] as number);
  }

  /** Zeroes an item of a row; the ancestors' totals keep it. @returns the removed total */
  surrender(row: number, item: number): number {
    const had = this.total(row, item);
    if (row !== NO_ROW) this.totals[row * ITEMS + item] = 0;
    return had;
  }

  /** Propagates pending changes to all ancestors. @see cgroup_rstat_flush() */
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
