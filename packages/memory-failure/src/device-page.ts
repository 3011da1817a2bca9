// Memory errors in pages of device memory that the CPU can access. Processes lose access to the page, as to bad RAM.
// The page's driver calls this. Kernel counterpart: hwpoison_user_mappings() in mm/memory-failure.c, which the kernel
// itself calls for RAM only.
import type { Page, Sleeps } from "@hetmem/kernel";
import { lockPage, type Process, unlockPage, type Vm } from "@hetmem/mm";
import { tryToUnmapPoisoned } from "@hetmem/mm/rmap";
import { collectProcs, killForcibly, killProcs } from "./collect-procs.ts";

/**
 * Unmaps a bad page of a device from every process. A later access is SIGBUS (BUS_MCEERR_AR). A process with early kill
 * gets BUS_MCEERR_AO at once. The page is freed to its driver with its last reference.
 *
 * @param accessing process whose access failed, which gets SIGBUS at once; undefined: none
 */
export function* poisonDevicePage(vm: Vm, page: Page, accessing: Process | undefined): Sleeps<void> {
  const { memmap } = vm;
  if (memmap.mapcount(page) === 0) return;
  memmap.getPage(page);
  yield* lockPage(memmap, page);
  const frame = memmap.pageToPfn(page);
  const toKill = yield* collectProcs(vm, page, accessing);
  if (yield* tryToUnmapPoisoned(vm, page)) killProcs(vm, toKill, frame, accessing);
  else killForcibly(vm, toKill, frame);
  unlockPage(memmap, page);
  memmap.putPage(page);
}
