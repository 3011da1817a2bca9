// Which mappings may hold an anonymous page: those of the process that wrote it first, and of all its children since. A
// page names its anon_vma by a number; the anon_vma knows the mappings. Kernel counterparts: struct anon_vma and struct
// anon_vma_chain in include/linux/rmap.h, mm/rmap.c.
import { type Kernel, KernelBug, type Page, RwSemaphore } from "@hetmem/kernel";
import { IntervalTree } from "@hetmem/kernel/lib";
import type { MemMap } from "@hetmem/page";
import { findMergeableAnonVma } from "../vma/anon-vma-reuse.ts";
import type { Vma } from "../vma/vma.ts";

/** The lowest bit of a page's `mapping` says that the number above it is an anon_vma's. @see PAGE_MAPPING_ANON */
export const MAPPING_ANON = 1;
/** Page offsets that a page's index tells apart. */
export const PGOFF_WINDOW: number = 2 ** 32;

export class AnonVma {
  readonly id: number;
  /** The first of the family: its lock is everybody's. */
  readonly root: AnonVma;
  readonly parent: AnonVma;
  readonly rwsem: RwSemaphore;
  /** Mappings that may hold pages of it, by page offset. */
  readonly mappings: IntervalTree<Vma> = new IntervalTree<Vma>(
    (vma) => vma.pgoff,
    (vma) => vma.lastPgoff,
  );
  /** Who keeps it alive besides its mappings: children of the root, and migrations. */
  refcount = 1;
  /** Children, itself among them if it is a root. @see num_children */
  numChildren = 0;
  /** Mappings whose own anon_vma this is. @see num_active_vmas */
  numActiveVmas = 0;
  /** Its mappings' page offsets lie in these multiples of 2^32: what a page's index, which has 32 bits, leaves out. */
  firstWindow: number = Number.POSITIVE_INFINITY;
  lastWindow: number = Number.NEGATIVE_INFINITY;

  constructor(kernel: Kernel, id: number, parent: AnonVma | undefined) {
    this.id = id;
    this.root = parent?.root ?? this;
    this.parent = parent ?? this;
    this.rwsem = parent?.root.rwsem ?? new RwSemaphore(kernel.lockdep, `anon_vma ${id}`);
    if (!parent) this.numChildren = 1;
  }

  /** A mapping may hold pages of it from now on. */
  enter(vma: Vma): void {
    this.mappings.insert(vma);
    this.firstWindow = Math.min(this.firstWindow, Math.floor(vma.pgoff / PGOFF_WINDOW));
    this.lastWindow = Math.max(this.lastWindow, Math.floor(vma.lastPgoff / PGOFF_WINDOW));
  }
}

/** All anon_vmas of a machine, by number. */
export class AnonVmas {
  private readonly kernel: Kernel;
  private readonly byId: (AnonVma | undefined)[] = [undefined];
  private readonly spare: number[] = [];

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  get count(): number {
    return this.byId.length - 1 - this.spare.length;
  }

  /** Gives a mapping an anon_vma of its own before its first anonymous page. @see __anon_vma_prepare() */
  prepare(vma: Vma): AnonVma {
    if (vma.anonVma) return vma.anonVma;
    const anonVma = findMergeableAnonVma(vma) ?? this.alloc(undefined);
    this.link(vma, anonVma);
    vma.anonVma = anonVma;
    anonVma.numActiveVmas++;
    return anonVma;
  }

  /** `to` may hold every page that `from` may, and shares its anon_vma: a split, or a copy by mremap(). @see anon_vma_clone() */
  clone(to: Vma, from: Vma): void {
    if (!from.anonVma) return;
    to.anonVma = from.anonVma;
    for (const anonVma of from.anonVmaChain) this.link(to, anonVma);
    from.anonVma.numActiveVmas++;
  }

  /** A child's mapping: pages of the parent are found in it, and those that it writes are its own. @see anon_vma_fork() */
  fork(child: Vma, parent: Vma): void {
    if (!parent.anonVma) return;
    child.anonVma = undefined;
    for (const anonVma of parent.anonVmaChain) {
      this.link(child, anonVma);
      // One that nobody writes to any more is used again, so that chains of children stay short. @see 7a3ef208e662, 2555283eb40d
      if (!child.anonVma && anonVma.numChildren < 2 && anonVma.numActiveVmas === 0) child.anonVma = anonVma;
    }
    if (child.anonVma) {
      child.anonVma.numActiveVmas++;
      return;
    }
    const anonVma = this.alloc(parent.anonVma);
    anonVma.numActiveVmas++;
    this.link(child, anonVma);
    child.anonVma = anonVma;
    anonVma.parent.numChildren++;
    anonVma.root.refcount++;
  }

  /** The mapping goes; an anon_vma without mappings goes with its last reference. @see unlink_anon_vmas() */
  unlink(vma: Vma): void {
    for (const anonVma of vma.anonVmaChain.toReversed()) {
      anonVma.mappings.remove(vma);
      if (anonVma === vma.anonVma) anonVma.numActiveVmas--;
      if (anonVma.mappings.size === 0) {
        anonVma.parent.numChildren--;
        this.put(anonVma);
      }
    }
    vma.anonVmaChain = [];
    vma.anonVma = undefined;
  }

  /** The mapping's interval is about to change: takes it out of all trees. @see anon_vma_interval_tree_pre_update_vma() */
  takeOut(vma: Vma): void {
    for (const anonVma of vma.anonVmaChain) anonVma.mappings.remove(vma);
  }

  /** It has changed. @see anon_vma_interval_tree_post_update_vma() */
  putIn(vma: Vma): void {
    for (const anonVma of vma.anonVmaChain) anonVma.enter(vma);
  }

  /** The anon_vma of an anonymous page, undefined for others and for those whose anon_vma has gone. @see folio_anon_vma() */
  of(memmap: MemMap, head: Page): AnonVma | undefined {
    const mapping = memmap.mapping(head);
    return (mapping & MAPPING_ANON) === 0 ? undefined : this.byId[mapping >> 1];
  }

  get(anonVma: AnonVma): void {
    anonVma.refcount++;
  }

  /** @see put_anon_vma() */
  put(anonVma: AnonVma): void {
    if (--anonVma.refcount > 0) return;
    if (anonVma.refcount < 0) throw new KernelBug(`anon_vma ${anonVma.id} is put once too often`);
    this.byId[anonVma.id] = undefined;
    this.spare.push(anonVma.id);
    if (anonVma.root !== anonVma) this.put(anonVma.root);
  }

  private alloc(parent: AnonVma | undefined): AnonVma {
    const id = this.spare.pop() ?? this.byId.length;
    return (this.byId[id] = new AnonVma(this.kernel, id, parent));
  }

  private link(vma: Vma, anonVma: AnonVma): void {
    vma.anonVmaChain.push(anonVma);
    anonVma.enter(vma);
  }
}
