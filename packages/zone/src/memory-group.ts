// Memory that one device brings, so that onlining treats its blocks together: a DIMM that comes and goes as a whole, or a
// device that plugs memory in units. Kernel counterpart: struct memory_group in include/linux/memory.h.
import { KernelError, type NodeId } from "@hetmem/kernel";

export interface MemoryGroup {
  readonly id: number;
  readonly node: NodeId;
  /** A static group is added in one go; a dynamic one grows and shrinks in units. */
  readonly kind:
    | { readonly type: "static"; readonly maxPages: number }
    | { readonly type: "dynamic"; readonly unitPages: number };
  /** Pages of it that are online in a kernel zone, and in ZONE_MOVABLE. */
  presentKernelPages: number;
  presentMovablePages: number;
}

export class MemoryGroups {
  readonly #groups = new Map<number, MemoryGroup>();
  #nextId = 0;

  /** @throws KernelError EINVAL when the size is none @see memory_group_register_static() in drivers/base/memory.c */
  register(node: NodeId, kind: MemoryGroup["kind"]): MemoryGroup {
    const pages = kind.type === "static" ? kind.maxPages : kind.unitPages;
    if (pages <= 0)
      throw new KernelError(
        "EINVAL",
        `a memory group of ${pages} pages: give the size of the device in pages`,
      );
    const group: MemoryGroup = {
      id: this.#nextId++,
      node,
      kind,
      presentKernelPages: 0,
      presentMovablePages: 0,
    };
    this.#groups.set(group.id, group);
    return group;
  }

  /** @throws KernelError EBUSY while blocks of it exist @see memory_group_unregister() */
  unregister(group: MemoryGroup, blocks: number): void {
    if (blocks > 0)
      throw new KernelError(
        "EBUSY",
        `memory group ${group.id} still has ${blocks} memory blocks: remove them first`,
      );
    this.#groups.delete(group.id);
  }

  /** Groups that are registered. */
  get count(): number {
    return this.#groups.size;
  }

  dynamic(): MemoryGroup[] {
    return [...this.#groups.values()].filter((group) => group.kind.type === "dynamic");
  }
}
