// /proc/sys/vm/drop_caches: evicts clean pages of files from the page cache when an administrator writes to it. The
// file shows nothing; each write is logged.
// Kernel counterpart: fs/drop_caches.c.
import type { Process, Vm } from "@hetmem/mm";
import { type Attribute, type AttributeTable, sysctlBetween } from "@hetmem/vfs";
import { VmEvent } from "@hetmem/zone";
import { dropPagecache } from "./invalidate.ts";

/** The task in a line of the log. */
export type LoggedTask = Pick<Process, "pid" | "comm">;

/**
 * The files under /proc/sys/vm that the page cache has.
 *
 * @param vm the machine's memory
 * @param writer returns the task that is writing to the file, for the log
 */
export function pageCacheTables(vm: Vm, writer: () => LoggedTask): AttributeTable[] {
  return [{ root: "/proc/sys/vm", files: { drop_caches: dropCaches(vm, writer) } }];
}

/**
 * Bits of a write: 1 evicts pages of files; 2 shrinks slab caches, which aren't modelled, and is only counted; 4 stops
 * the logging of later writes.
 *
 * @see drop_caches_sysctl_handler() in fs/drop_caches.c
 */
function dropCaches(vm: Vm, writer: () => LoggedTask): Attribute {
  let silent = false;
  return {
    *store(_params, text) {
      const what = sysctlBetween(text, 1, 4);
      if ((what & 1) !== 0) yield* dropPagecache(vm);
      if ((what & 2) !== 0) vm.memory.allocator.countEvent(VmEvent.drop_slab, 1);
      if (silent) return;
      const { comm, pid } = writer();
      vm.kernel.log.printk(6, `${comm} (${pid}): drop_caches: ${what}`);
      silent = (what & 4) !== 0;
    },
  };
}
