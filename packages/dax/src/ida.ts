// Small numbers for things that come and go: the lowest one that is free. Kernel counterpart: lib/idr.c (struct ida).

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

  /** Numbers that are taken. */
  get size(): number {
    return this.#used.size;
  }
}
