// What mode 2 of overcommit keeps back: kilobytes with which an administrator, or the user himself, can still log in and
// stop a process that takes all memory. They follow the memory of the machine as long as they are at most as large as
// the kernel makes them. Kernel counterpart: init_user_reserve(), reserve_mem_notifier() in mm/mmap.c.
import { pagesToKiB } from "@hetmem/kernel";
import { allZones, type Memory, type MemoryListener } from "@hetmem/zone";
import type { Vm } from "../vm.ts";

/** Kilobytes at most by default. */
export const MAX_ADMIN_RESERVE: bigint = 1n << 13n;
export const MAX_USER_RESERVE: bigint = 1n << 17n;

/** Three percent of what is free, and no more than a maximum; all in kilobytes. @see init_admin_reserve() */
export function defaultReserve(free: number, most: bigint): bigint {
  const part = BigInt(Math.floor(free / 32));
  return part < most ? part : most;
}

/** Free memory of a machine, in kilobytes. */
export function freeKbytes(memory: Memory): number {
  let pages = 0;
  for (const zone of allZones(memory)) pages += zone.freePages;
  return pagesToKiB(pages);
}

/** Adapts the reserves when memory comes or goes: a listener for memory hotplug. @see reserve_mem_notifier() */
export function reserveListener(vm: Vm): MemoryListener {
  return function* (action) {
    if (action === "MEM_ONLINE") grow(vm);
    if (action === "MEM_OFFLINE") shrink(vm);
  };
}

/** What an administrator has set to 0, or to more than the kernel would, stays. */
function grow({ tunables, memory }: Vm): void {
  const free = freeKbytes(memory);
  const { adminReserveKbytes: admin, userReserveKbytes: user } = tunables;
  if (user > 0n && user < MAX_USER_RESERVE)
    tunables.userReserveKbytes = defaultReserve(free, MAX_USER_RESERVE);
  if (admin > 0n && admin < MAX_ADMIN_RESERVE)
    tunables.adminReserveKbytes = defaultReserve(free, MAX_ADMIN_RESERVE);
}

/** More than is free can't be kept back. */
function shrink({ tunables, memory, kernel }: Vm): void {
  const free = freeKbytes(memory);
  if (tunables.userReserveKbytes > BigInt(free)) {
    tunables.userReserveKbytes = defaultReserve(free, MAX_USER_RESERVE);
    kernel.log.printk(6, `vm.user_reserve_kbytes reset to ${tunables.userReserveKbytes}`);
  }
  if (tunables.adminReserveKbytes > BigInt(free)) {
    tunables.adminReserveKbytes = defaultReserve(free, MAX_ADMIN_RESERVE);
    kernel.log.printk(6, `vm.admin_reserve_kbytes reset to ${tunables.adminReserveKbytes}`);
  }
}
