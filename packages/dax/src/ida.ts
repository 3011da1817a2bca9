// Allocator of small ids: always the lowest free one. Kernel counterpart: lib/idr.c (struct ida).

export class Ida {
  readonly #used = new Set<number>();

  /** @see ida_alloc() */
  alloc(): number {
    let id = 0;
    while (this.#used.has(id)) id++;
    this.#used.add(id);
    return id;
  }

  /** @see ida_free() */
  free(id: number): void {
    this.#used.delete(id);
  }

  /** Number of allocated ids. */
  get size(): number {
    return this.#used.size;
  }
}
