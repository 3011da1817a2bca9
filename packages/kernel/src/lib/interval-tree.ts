// Intervals of numbers, found by overlap. A search tree ordered by first number, in which each node also has the
// highest last number of its subtree: a walk skips subtrees that end before the range. The tree is balanced as a
// treap. A fixed generator draws the priorities, so that each run builds the same tree. Nodes are objects: most trees
// have one or two intervals, for which typed arrays would cost more to allocate than they save in searches. Kernel
// counterparts: lib/interval_tree.c, include/linux/interval_tree_generic.h.
import { KernelBug } from "../error.ts";

interface Node<T> {
  readonly item: T;
  readonly first: number;
  readonly last: number;
  /** Number of the insertion. Intervals with the same first number are ordered by it. */
  readonly order: number;
  /** Priority in the treap: never lower than a child's. */
  readonly priority: number;
  /** Highest last number of the node's interval and of all in its subtree. @see __subtree_last */
  subtreeLast: number;
  parent: Node<T> | undefined;
  left: Node<T> | undefined;
  right: Node<T> | undefined;
}

export class IntervalTree<T> {
  private readonly first: (item: T) => number;
  private readonly last: (item: T) => number;
  private readonly nodes: Map<T, Node<T>> = new Map();
  private root: Node<T> | undefined = undefined;
  private inserted = 0;
  private random = 0x9e37_79b9;

  /**
   * @param first lowest number of an item's interval;
   * @param last highest number in it. Neither may change while the item is in the tree.
   */
  constructor(first: (item: T) => number, last: (item: T) => number) {
    this.first = first;
    this.last = last;
  }

  get size(): number {
    return this.nodes.size;
  }

  has(item: T): boolean {
    return this.nodes.has(item);
  }

  /** Inserts an item. @throws KernelBug when the item is in the tree already, or its last number is below its first */
  insert(item: T): void {
    const [first, last] = [this.first(item), this.last(item)];
    if (last < first) throw new KernelBug(`an interval from ${first} to ${last}`);
    if (this.nodes.has(item))
      throw new KernelBug(`the interval from ${first} to ${last} is in its tree already`);
    const node: Node<T> = {
      item,
      first,
      last,
      order: this.inserted++,
      priority: this.nextPriority(),
      subtreeLast: last,
      parent: undefined,
      left: undefined,
      right: undefined,
    };
    this.nodes.set(item, node);
    this.attach(node);
    while (node.parent !== undefined && node.parent.priority < node.priority) this.rotateUp(node);
  }

  /** Removes an item. @throws KernelBug when the item isn't in the tree */
  remove(item: T): void {
    const node = this.nodes.get(item);
    if (node === undefined) throw new KernelBug("an interval is removed from a tree that it isn't in");
    this.nodes.delete(item);
    // Rotates the node down until it is a leaf. The child with the higher priority moves up each time.
    // Ends: each turn sinks the node by a level.
    for (;;) {
      const { left, right } = node;
      if (left === undefined && right === undefined) break;
      if (right === undefined || (left !== undefined && left.priority > right.priority))
        this.rotateUp(left as Node<T>);
      else this.rotateUp(right);
    }
    const { parent } = node;
    this.replaceBelow(parent, node, undefined);
    for (let above = parent; above !== undefined; above = above.parent) refresh(above);
  }

  /** Whether any interval overlaps [first, last]. */
  overlaps(first: number, last: number): boolean {
    return firstBelow(this.root, first, last) !== undefined;
  }

  /**
   * The items whose intervals overlap [first, last], ordered by first number. The tree may change between the steps:
   * an item removed before its turn isn't visited, and one inserted behind the current item is.
   */
  *overlapping(first: number, last: number): Generator<T, void, void> {
    let node = firstBelow(this.root, first, last);
    while (node !== undefined) {
      yield node.item;
      node =
        this.nodes.get(node.item) === node ? next(node, first, last) : this.firstBehind(node, first, last);
    }
  }

  /** Calls `visit` for the items that overlapping() gives, without an allocation. `visit` must not change the tree. */
  visitOverlapping(first: number, last: number, visit: (item: T) => void): void {
    visitBelow(this.root, first, last, visit);
  }

  /** @see interval_tree_insert() */
  private attach(node: Node<T>): void {
    let parent = this.root;
    if (parent === undefined) {
      this.root = node;
      return;
    }
    // Ends: each turn is a level further down.
    for (;;) {
      if (parent.subtreeLast < node.last) parent.subtreeLast = node.last;
      const below: Node<T> | undefined = node.first < parent.first ? parent.left : parent.right;
      if (below === undefined) break;
      parent = below;
    }
    node.parent = parent;
    if (node.first < parent.first) parent.left = node;
    else parent.right = node;
  }

  /** Rotates a node above its parent, and keeps the order and subtreeLast. */
  private rotateUp(node: Node<T>): void {
    const parent = node.parent as Node<T>;
    const above = parent.parent;
    const moved = parent.left === node ? node.right : node.left;
    if (parent.left === node) {
      parent.left = moved;
      node.right = parent;
    } else {
      parent.right = moved;
      node.left = parent;
    }
    if (moved !== undefined) moved.parent = parent;
    this.replaceBelow(above, parent, node);
    parent.parent = node;
    node.parent = above;
    node.subtreeLast = parent.subtreeLast;
    refresh(parent);
  }

  private replaceBelow(parent: Node<T> | undefined, from: Node<T>, to: Node<T> | undefined): void {
    if (parent === undefined) this.root = to;
    else if (parent.left === from) parent.left = to;
    else parent.right = to;
  }

  /** The first overlapping node in the order behind a removed node. */
  private firstBehind(gone: Node<T>, first: number, last: number): Node<T> | undefined {
    let behind: Node<T> | undefined;
    for (let node = this.root; node !== undefined;) {
      if (node.first > gone.first || (node.first === gone.first && node.order > gone.order)) {
        behind = node;
        node = node.left;
      } else node = node.right;
    }
    if (behind === undefined || behind.first > last) return undefined;
    return behind.last >= first ? behind : next(behind, first, last);
  }

  /** @see Marsaglia's xorshift */
  private nextPriority(): number {
    let x = this.random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (this.random = x);
  }
}

function refresh<T>(node: Node<T>): void {
  let { last } = node;
  const { left, right } = node;
  if (left !== undefined && left.subtreeLast > last) last = left.subtreeLast;
  if (right !== undefined && right.subtreeLast > last) last = right.subtreeLast;
  node.subtreeLast = last;
}

/** The leftmost overlapping node of a subtree. @see interval_tree_subtree_search() */
function firstBelow<T>(root: Node<T> | undefined, first: number, last: number): Node<T> | undefined {
  let node = root;
  if (node === undefined || node.subtreeLast < first) return undefined;
  // Ends: each turn is a level further down.
  for (;;) {
    // When an interval on the left ends at or behind `first`, the leftmost overlap is on the left, or there is none.
    if (node.left !== undefined && node.left.subtreeLast >= first) {
      node = node.left;
      continue;
    }
    if (node.first > last) return undefined;
    if (node.last >= first) return node;
    if (node.right === undefined || node.right.subtreeLast < first) return undefined;
    node = node.right;
  }
}

/** The next overlapping node in the order. @see interval_tree_iter_next() */
function next<T>(from: Node<T>, first: number, last: number): Node<T> | undefined {
  let node = from;
  // Ends: each turn is further on in the order of the tree.
  for (;;) {
    const found = firstBelow(node.right, first, last);
    if (found !== undefined) return found;
    // Goes up to the first ancestor with this node in its left subtree.
    let { parent } = node;
    while (parent !== undefined && parent.right === node) {
      node = parent;
      parent = node.parent;
    }
    if (parent === undefined || parent.first > last) return undefined;
    if (parent.last >= first) return parent;
    node = parent;
  }
}

function visitBelow<T>(
  root: Node<T> | undefined,
  first: number,
  last: number,
  visit: (item: T) => void,
): void {
  let node = root;
  while (node !== undefined && node.subtreeLast >= first) {
    visitBelow(node.left, first, last, visit);
    if (node.first > last) return;
    if (node.last >= first) visit(node.item);
    node = node.right;
  }
}
