// Memory groups: the memory blocks of one device, which the auto-movable online policy treats together. The device is
// a DIMM, added as a whole, or one that plugs memory in units, as virtio-mem does. Kernel counterpart: struct
// memory_group in include/linux/memory.h.
import { KernelError, type NodeId } from "@hetmem/kernel";

export interface MemoryGroup {
  readonly id: number;
  readonly node: NodeId;
  /** A static group has all its memory added at once; a dynamic one grows and shrinks in units. Sizes are in pages. */
  readonly kind:
    | { readonly type: "static"; readonly maxPages: number }
    | { readonly type: "dynamic"; readonly unitPages: number };
  /** Pages of the group that are online in kernel zones, and in ZONE_MOVABLE. */
  presentKernelPages: number;
  presentMovablePages: number;
}

export class MemoryGroups {
  readonly #groups = new Map<number, MemoryGroup>();
  #nextId = 0;

  /**
   * Registers a group.
   *
   * @throws KernelError EINVAL for a size of 0 pages
   * @see memory_group_register_static() in drivers/base/memory.c
   */
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

  /**
   * Unregisters a group.
   *
   * @param blocks its memory blocks now
   * @throws KernelError EBUSY while it has any
   * @see memory_group_unregister()
   */
  unregister(group: MemoryGroup, blocks: number): void {
    if (blocks > 0)
      throw new KernelError(
        "EBUSY",
        `memory group ${group.id} still has ${blocks} memory blocks: remove them first`,
      );
    this.#groups.delete(group.id);
  }

  /** Number of registered groups. */
  get count(): number {
    return this.#groups.size;
  }

  dynamic(): MemoryGroup[] {
    return [...this.#groups.values()].filter((group) => group.kind.type === "dynamic");
  }
}
