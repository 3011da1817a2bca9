// The numbers that pages and swap slots carry to say who pays for them, and how many carry each. A cgroup has one for its
// pages; from its first kernel charge on it has another one for those, which becomes its parent's when it goes. Kernel
// counterparts: mem_cgroup_id in mm/memcontrol.c, struct obj_cgroup in include/linux/memcontrol.h.
import { KernelBug, KernelError } from "@hetmem/kernel";
import type { MemoryCgroup } from "./memory-cgroup.ts";

/** What a page carries for which nobody pays. */
export const NOBODY = 0;
export const ROOT_ID = 1;
/** They fit in 16 bits. @see MEM_CGROUP_ID_MAX */
const MAX_ID = 65_535;

export class CgroupIds {
  /** Pages that carry each id, once settle() has been called. */
  pages: Int32Array = new Int32Array(64);
  /** Swap slots that do. @see swap_cgroup_record() */
  slots: Int32Array = new Int32Array(64);
  /** Pages that were charged under each id since somebody counted them, once settle() has been called. */
  arrived: Int32Array = new Int32Array(64);
  /** Pages of sockets. */
  sockets: Int32Array = new Int32Array(64);
  /** Charges on their way, and whoever else needs the cgroup to stay. */
  pins: Int32Array = new Int32Array(64);
  /** Bytes of kernel objects. */
  bytes: Float64Array = new Float64Array(64);
  /** 1 for ids of kernel charges. */
  kernel: Uint8Array = new Uint8Array(64);
  /** 1 for ids of cgroups that were removed. */
  removed: Uint8Array = new Uint8Array(64);
  /** Counts the pages that stocks were used for: before anybody reads `pages` or `arrived`. */
  settle: () => void = () => {};
  private readonly cgroups: (MemoryCgroup | undefined)[] = [undefined];
  private readonly free: number[] = [];

  /** One more than the highest that was ever given. */
  get end(): number {
    return this.cgroups.length;
  }

  /**
   * A new id of a cgroup.
   *
   * @param make makes the cgroup that has it, or names the one that has it for its kernel charges
   * @throws KernelError ENOSPC when all are in use
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

  /** Nobody carries an id any more. */
  release(id: number): void {
    this.cgroups[id] = undefined;
    this.kernel[id] = 0;
    this.removed[id] = 0;
    this.free.push(id);
  }

  /** Who pays for what carries an id. @throws KernelBug when nobody has it */
  cgroup(id: number): MemoryCgroup {
    return this.cgroups[id] ?? this.unknown(id);
  }

  /** Who has an id, undefined for NOBODY. */
  find(id: number): MemoryCgroup | undefined {
    return this.cgroups[id];
  }

  /** Kernel charges of a cgroup that goes are its parent's from now on. @see memcg_reparent_objcgs() */
  handOver(id: number, to: MemoryCgroup): void {
    this.cgroups[id] = to;
  }

  /** The ids of kernel charges that a cgroup answers for: its own, and those of cgroups that were below it. */
  kernelIdsOf(cgroup: MemoryCgroup): number[] {
    const ids: number[] = [];
    for (let id = ROOT_ID; id < this.end; id++)
      if (this.kernel[id] === 1 && this.cgroups[id] === cgroup) ids.push(id);
    return ids;
  }

  /** Pages carry an id from now on. @param units compound pages count once */
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
