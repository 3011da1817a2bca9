// /proc/sys/vm/drop_caches. Kernel counterpart: fs/drop_caches.c.
import type { Process, Vm } from "@hetmem/mm";
import { type Attribute, type AttributeTable, sysctlBetween } from "@hetmem/vfs";
import { VmEvent } from "@hetmem/zone";
import { dropPagecache } from "./invalidate.ts";

/** A task, as the log names it. */
export type LoggedTask = Pick<Process, "pid" | "comm">;

/** @param writer the task that writes to a file just now, for the log */
export function pageCacheTables(vm: Vm, writer: () => LoggedTask): AttributeTable[] {
  return [{ root: "/proc/sys/vm", files: { drop_caches: dropCaches(vm, writer) } }];
}

/**
 * 1: pages of files; 2: the kernel's own objects, which take nothing here; 3: both. Each write is told in the log until
 * one has had bit 2.
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
