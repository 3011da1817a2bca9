// The reserves of vm.overcommit_memory 2: memory that stays uncommitted, so that an administrator or the user can
// still log in and stop a process that takes all memory. The defaults follow the size of the machine's free memory
// across hotplug. Kernel counterparts: init_user_reserve(), init_admin_reserve(), reserve_mem_notifier() in
// mm/mmap.c.
import { pagesToKiB } from "@hetmem/kernel";
import { allZones, type Memory, type MemoryListener } from "@hetmem/zone";
import type { Vm } from "../vm.ts";

/** Largest default of vm.admin_reserve_kbytes, in KiB: 8 MiB. For vm.user_reserve_kbytes it is 128 MiB. */
export const MAX_ADMIN_RESERVE: bigint = 1n << 13n;
export const MAX_USER_RESERVE: bigint = 1n << 17n;

/** A 32nd of the free memory, and at most `most`; all in KiB. @see init_admin_reserve() */
export function defaultReserve(free: number, most: bigint): bigint {
  const part = BigInt(Math.floor(free / 32));
  return part < most ? part : most;
}

/** Free memory of a machine, in KiB. */
export function freeKbytes(memory: Memory): number {
  let pages = 0;
  for (const zone of allZones(memory)) pages += zone.freePages;
  return pagesToKiB(pages);
}

/** A memory hotplug listener that adapts the reserves when memory comes or goes. @see reserve_mem_notifier() */
export function reserveListener(vm: Vm): MemoryListener {
  return function* (action) {
    if (action === "MEM_ONLINE") grow(vm);
    if (action === "MEM_OFFLINE") shrink(vm);
  };
}

/** A reserve of 0, or above the largest default, was set by the administrator and stays. */
function grow({ tunables, memory }: Vm): void {
  const free = freeKbytes(memory);
  const { adminReserveKbytes: admin, userReserveKbytes: user } = tunables;
  if (user > 0n && user < MAX_USER_RESERVE)
    tunables.userReserveKbytes = defaultReserve(free, MAX_USER_RESERVE);
  if (admin > 0n && admin < MAX_ADMIN_RESERVE)
    tunables.adminReserveKbytes = defaultReserve(free, MAX_ADMIN_RESERVE);
}

/** A reserve larger than the free memory is reset to the default. */
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
