// A page of a device's memory that the cpu reaches and that is bad: processes are cut off from it, as from bad RAM. Its driver
// asks for that, since nobody else knows what the page is. Kernel counterpart: hwpoison_user_mappings() in
// mm/memory-failure.c, which the kernel itself runs for RAM only.
import type { Page, Sleeps } from "@hetmem/kernel";
import { lockPage, type Process, unlockPage, type Vm } from "@hetmem/mm";
import { tryToUnmapPoisoned } from "@hetmem/mm/rmap";
import { collectProcs, killForcibly, killProcs } from "./collect-procs.ts";

/**
 * Takes a bad page of a device away from every process that maps it: a touch is SIGBUS from then on (BUS_MCEERR_AR), and
 * a process that asked to hear early gets BUS_MCEERR_AO at once. The page goes back to its driver with its last reference.
 *
 * @param accessing the process that was reading the page when it failed, which is told at once; undefined: none was
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
