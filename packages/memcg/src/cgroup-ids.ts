// Ids of memory cgroups, recorded per page and swap slot, and the number of charges per id. A cgroup has one id for
// its pages. From its first kernel charge on it has a second id for kernel memory, which is reparented when the
// cgroup is removed. Kernel counterparts: mem_cgroup_id in mm/memcontrol.c, struct obj_cgroup in
// include/linux/memcontrol.h.
import { KernelBug, KernelError } from "@hetmem/kernel";
import type { MemoryCgroup } from "./memory-cgroup.ts";

/** The id of an uncharged page or slot. */
export const NOBODY = 0;
export const ROOT_ID = 1;
/** Ids fit in 16 bits. @see MEM_CGROUP_ID_MAX */
const MAX_ID = 65_535;

export class CgroupIds {
  /** Pages charged to each id; exact after settle(). */
  pages: Int32Array = new Int32Array(64);
  /** Swap slots charged to each id. @see swap_cgroup_record() */
  slots: Int32Array = new Int32Array(64);
  /** Pages charged to each id since pgpgin was last flushed; exact after settle(). */
  arrived: Int32Array = new Int32Array(64);
  /** Pages of socket buffers charged to each id. */
  sockets: Int32Array = new Int32Array(64);
  /** References that keep a cgroup: charges in progress, and open operations. */
  pins: Int32Array = new Int32Array(64);
  /** Bytes of kernel objects charged to each id. */
  bytes: Float64Array = new Float64Array(64);
  /** 1 for ids of kernel memory. */
  kernel: Uint8Array = new Uint8Array(64);
  /** 1 for ids of removed cgroups. */
  removed: Uint8Array = new Uint8Array(64);
  /** Adds the pages taken from stocks to `pages` and `arrived`. Must be called before these are read. */
  settle: () => void = () => {};
  private readonly cgroups: (MemoryCgroup | undefined)[] = [undefined];
  private readonly free: number[] = [];

  /** One more than the highest id ever allocated. */
  get end(): number {
    return this.cgroups.length;
  }

  /**
   * Allocates an id.
   *
   * @param kernel whether the id is for kernel memory
   * @param make creates the cgroup with the id, or returns the cgroup of a kernel memory id
   * @returns the id
   * @throws KernelError ENOSPC when all ids are in use
   */
  create(kernel: boolean, make: (id: number) => MemoryCgroup): number {
    const id = this.free.pop() ?? this.cgroups.length;
    if (id > MAX_ID)
      throw new KernelError(
        "ENOSPC",
        `all ${MAX_ID} ids of memory cgroups are in use: remove some, and what they hold`,
      );
    if (id >= this.pages.length) this.grow();
    this.kernel[id] = kernel ? 1 : 0;
    this.cgroups[id] = make(id);
    return id;
  }

  /** Frees an id without charges. */
  release(id: number): void {
    this.cgroups[id] = undefined;
    this.kernel[id] = 0;
    this.removed[id] = 0;
    this.free.push(id);
  }

  /** The cgroup of an id. @throws KernelBug for a free id */
  cgroup(id: number): MemoryCgroup {
    return this.cgroups[id] ?? this.unknown(id);
  }

  /** The cgroup of an id; undefined for NOBODY and free ids. */
  find(id: number): MemoryCgroup | undefined {
    return this.cgroups[id];
  }

  /** Reparents a kernel memory id. @see memcg_reparent_objcgs() */
  handOver(id: number, to: MemoryCgroup): void {
    this.cgroups[id] = to;
  }

  /** The kernel memory ids of a cgroup: its own, and those reparented from removed descendants. */
  kernelIdsOf(cgroup: MemoryCgroup): number[] {
    const ids: number[] = [];
    for (let id = ROOT_ID; id < this.end; id++)
      if (this.kernel[id] === 1 && this.cgroups[id] === cgroup) ids.push(id);
    return ids;
  }

  /** Counts charged pages. @param units number of pages with each compound page counted once */
  notePages(id: number, pages: number, units: number): void {
    const carried = this.pages;
    carried[id] = (carried[id] as number) + pages;
    this.arrived[id] = (this.arrived[id] as number) + units;
  }

  isInUse(id: number): boolean {
    this.settle();
    const { pages, slots, sockets, pins, bytes } = this;
    return pages[id] !== 0 || slots[id] !== 0 || sockets[id] !== 0 || pins[id] !== 0 || bytes[id] !== 0;
  }

  private grow(): void {
    const ids = this.pages.length * 2;
    this.pages = copied(new Int32Array(ids), this.pages);
    this.slots = copied(new Int32Array(ids), this.slots);
    this.arrived = copied(new Int32Array(ids), this.arrived);
    this.sockets = copied(new Int32Array(ids), this.sockets);
    this.pins = copied(new Int32Array(ids), this.pins);
    this.bytes = copied(new Float64Array(ids), this.bytes);
    this.kernel = copied(new Uint8Array(ids), this.kernel);
    this.removed = copied(new Uint8Array(ids), this.removed);
  }

  private unknown(id: number): never {
    throw new KernelBug(`no memory cgroup has id ${id}`);
  }
}

function copied<A extends Int32Array | Float64Array | Uint8Array>(fresh: A, old: A): A {
  fresh.set(old);
  return fresh;
}
