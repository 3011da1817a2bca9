// Charges for kernel objects, by the byte, and for socket buffers. The bytes of all objects of a cgroup are summed
// and rounded up to pages. Kernel counterparts: obj_cgroup_charge() and mem_cgroup_charge_skmem() in mm/memcontrol.c,
// which rounds up per cpu.
import { bugOn, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { GFP_KERNEL } from "@hetmem/zone";
import { NOBODY } from "./cgroup-ids.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";
import type { MemoryCgroups } from "./memory-cgroups.ts";
import { CgroupItem } from "./stat/items.ts";

/** A charged kernel object. */
export interface KernelObject {
  /** Kernel memory id of its cgroup, which may be reparented later; NOBODY for the root. */
  readonly owner: number;
  readonly bytes: number;
}

/**
 * Charges a kernel object.
 *
 * @param bytes size of the object
 * @param gfp Gfp bits of the allocation
 * @returns the charge; undefined when a limit refuses it: ENOMEM
 * @see obj_cgroup_charge()
 */
export function* chargeKernel(
  cgroups: MemoryCgroups,
  cgroup: MemoryCgroup,
  bytes: number,
  gfp: number = GFP_KERNEL,
): Sleeps<KernelObject | undefined> {
  const { ids, charging } = cgroups;
  // The kernel memory of a removed cgroup is charged to the nearest online ancestor. @see get_obj_cgroup_from_memcg()
  const payer = cgroup.onlineOrAbove;
  if (payer.isRoot) return { owner: NOBODY, bytes };
  const owner = charging.kernelId(payer);
  // The object may fit into the last charged page. Otherwise the needed pages are computed again after charging,
  // since other tasks may have charged objects meanwhile.
  const pages = pagesOf(bytes);
  const add = (): void => void (ids.bytes[owner] = (ids.bytes[owner] as number) + bytes);
  if (pagesOf((ids.bytes[owner] as number) + bytes) === pagesOf(ids.bytes[owner] as number)) {
    add();
    return { owner, bytes };
  }
  const charged = (): void => {
    const had = pagesOf(ids.bytes[owner] as number);
    add();
    const needed = pagesOf(ids.bytes[owner] as number) - had;
    const holder = ids.cgroup(owner);
    charging.countKernel(holder, needed);
    if (needed < pages) payer.memory.uncharge(pages - needed);
  };
  return (yield* charging.chargePages(payer, undefined, pages, gfp, charged)) ? { owner, bytes } : undefined;
}

/** @see obj_cgroup_uncharge() */
export function unchargeKernel(cgroups: MemoryCgroups, { owner, bytes }: KernelObject): void {
  if (owner === NOBODY) return;
  const { ids, charging } = cgroups;
  const had = ids.bytes[owner] as number;
  bugOn(had < bytes, `${bytes} bytes are given back of ${had}`);
  ids.bytes[owner] = had - bytes;
  const pages = pagesOf(had) - pagesOf(had - bytes);
  const holder = ids.cgroup(owner);
  if (pages > 0) {
    charging.countKernel(holder, -pages);
    holder.memory.uncharge(pages);
  }
  cgroups.releaseKernelId(owner, holder);
}

/**
 * Charges pages for a socket's buffers. The charge keeps the cgroup until unchargeSocket().
 *
 * @param pages number of pages
 * @param gfp Gfp bits of the allocation
 * @returns false when a limit refuses the charge
 * @see mem_cgroup_charge_skmem()
 */
export function* chargeSocket(
  cgroups: MemoryCgroups,
  cgroup: MemoryCgroup,
  pages: number,
  gfp: number = GFP_KERNEL,
): Sleeps<boolean> {
  const { charging, ids, stats } = cgroups;
  return yield* charging.chargePages(cgroup, undefined, pages, gfp, () => {
    ids.sockets[cgroup.id] = (ids.sockets[cgroup.id] as number) + pages;
    stats.add(cgroup.id, CgroupItem.sock, pages);
  });
}

/** @see mem_cgroup_uncharge_skmem() */
export function unchargeSocket(cgroups: MemoryCgroups, cgroup: MemoryCgroup, pages: number): void {
  const { sockets } = cgroups.ids;
  const left = (sockets[cgroup.id] as number) - pages;
  bugOn(left < 0, `${pages} pages of sockets are given back of ${left + pages}`);
  sockets[cgroup.id] = left;
  cgroups.stats.add(cgroup.id, CgroupItem.sock, -pages);
  if (!cgroup.isRoot) cgroup.memory.uncharge(pages);
  cgroups.freeIfUnused(cgroup);
}

function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE);
}
