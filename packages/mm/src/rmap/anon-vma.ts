// The anon_vma of a page: the set of mappings that may map the page, those of the process that wrote it first and of
// all its children since. A page stores the number of its anon_vma, and the anon_vma holds the mappings. Kernel
// counterparts: struct anon_vma and struct anon_vma_chain in include/linux/rmap.h, mm/rmap.c.
import { type Kernel, KernelBug, type Page, RwSemaphore } from "@hetmem/kernel";
import { IntervalTree } from "@hetmem/kernel/lib";
import type { MemMap } from "@hetmem/page";
import { findMergeableAnonVma } from "../vma/anon-vma-reuse.ts";
import type { Vma } from "../vma/vma.ts";

/** Lowest bit of a page's `mapping`: the bits above it are the number of an anon_vma. @see PAGE_MAPPING_ANON */
export const MAPPING_ANON = 1;
/**
 * Page offsets that a page's index can hold: its 32 bits. Offsets beyond are distinguished by AnonVma.firstWindow and
 * lastWindow.
 */
export const PGOFF_WINDOW: number = 2 ** 32;

/** The set of mappings that may map the same anonymous pages. @see struct anon_vma */
export class AnonVma {
  readonly id: number;
  /** The anon_vma of the first ancestor. All its descendants use its lock. */
  readonly root: AnonVma;
  readonly parent: AnonVma;
  readonly rwsem: RwSemaphore;
  /** Mappings that may map its pages, by page offset. */
  readonly mappings: IntervalTree<Vma> = new IntervalTree<Vma>(
    (vma) => vma.pgoff,
    (vma) => vma.lastPgoff,
  );
  /** References other than those of mappings: children of a root, and migrations. */
  refcount = 1;
  /** Number of child anon_vmas. A root counts itself. @see num_children */
  numChildren = 0;
  /** Number of mappings with this as their own anon_vma. @see num_active_vmas */
  numActiveVmas = 0;
  /**
   * First and last window of 2^32 page offsets that a mapping touches. A page's index has only the lower 32 bits of
   * its offset.
   */
  firstWindow: number = Number.POSITIVE_INFINITY;
  lastWindow: number = Number.NEGATIVE_INFINITY;

  constructor(kernel: Kernel, id: number, parent: AnonVma | undefined) {
    this.id = id;
    this.root = parent?.root ?? this;
    this.parent = parent ?? this;
    this.rwsem = parent?.root.rwsem ?? new RwSemaphore(kernel.lockdep, `anon_vma ${id}`);
    if (!parent) this.numChildren = 1;
  }

  /** Adds a mapping that may map its pages. */
  enter(vma: Vma): void {
    this.mappings.insert(vma);
    this.firstWindow = Math.min(this.firstWindow, Math.floor(vma.pgoff / PGOFF_WINDOW));
    this.lastWindow = Math.max(this.lastWindow, Math.floor(vma.lastPgoff / PGOFF_WINDOW));
  }
}

/** All anon_vmas of a machine, by number. A page has 32 bits for the number, in place of the kernel's pointer. */
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

  /** Gives a mapping its anon_vma before its first anonymous page. @see __anon_vma_prepare() */
  prepare(vma: Vma): AnonVma {
    if (vma.anonVma) return vma.anonVma;
    const anonVma = findMergeableAnonVma(vma) ?? this.alloc(undefined);
    this.link(vma, anonVma);
    vma.anonVma = anonVma;
    anonVma.numActiveVmas++;
    return anonVma;
  }

  /**
   * Lets `to` map every page that `from` may, and share its anon_vma. For splits and mremap().
   *
   * @see anon_vma_clone()
   */
  clone(to: Vma, from: Vma): void {
    if (!from.anonVma) return;
    to.anonVma = from.anonVma;
    for (const anonVma of from.anonVmaChain) this.link(to, anonVma);
    from.anonVma.numActiveVmas++;
  }

  /** Lets a child's mapping map the parent's pages, and gives it an anon_vma for its own pages. @see anon_vma_fork() */
  fork(child: Vma, parent: Vma): void {
    if (!parent.anonVma) return;
    child.anonVma = undefined;
    for (const anonVma of parent.anonVmaChain) {
      this.link(child, anonVma);
      // An anon_vma without active mappings is reused, so that chains of forks stay short. @see 7a3ef208e662,
      // 2555283eb40d
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

  /**
   * Removes a mapping from its anon_vmas. An anon_vma without mappings goes with its last reference.
   *
   * @see unlink_anon_vmas()
   */
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

  /** Takes a mapping out of all trees before its interval changes. @see anon_vma_interval_tree_pre_update_vma() */
  takeOut(vma: Vma): void {
    for (const anonVma of vma.anonVmaChain) anonVma.mappings.remove(vma);
  }

  /** Puts a mapping back into the trees after the change. @see anon_vma_interval_tree_post_update_vma() */
  putIn(vma: Vma): void {
    for (const anonVma of vma.anonVmaChain) anonVma.enter(vma);
  }

  /**
   * The anon_vma of a page; undefined for a page that isn't anonymous, and after the anon_vma has gone.
   *
   * @see folio_anon_vma()
   */
  of(memmap: MemMap, head: Page): AnonVma | undefined {
    const mapping = memmap.mapping(head);
    return (mapping & MAPPING_ANON) === 0 ? undefined : this.byId[mapping >> 1];
  }

  get(anonVma: AnonVma): void {
    anonVma.refcount++;
  }

  /**
   * Drops a reference.
   *
   * @throws KernelBug when there is none
   * @see put_anon_vma()
   */
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
