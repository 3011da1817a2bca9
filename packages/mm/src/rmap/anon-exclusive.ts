// Pages that one process alone has, and may write to without a copy. One that leaves its page table must stop to be so,
// unless a device writes to it by its physical address. Kernel counterpart: page_try_share_anon_rmap() in
// include/linux/rmap.h.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { ZoneType } from "@hetmem/zone";
import { pageMaybeDmaPinned } from "../faultin/pin-count.ts";
import type { Vm } from "../vm.ts";

/**
 * The page may be shared from now on.
 *
 * @returns false when it may be pinned, and stays exclusive
 * @see page_try_share_anon_rmap()
 */
export function pageTryShareAnonRmap(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  // Nobody can pin a page that only its device reaches.
  if (pageMaybeDmaPinned(vm, page) && !isUnreachable(vm, page)) return false;
  memmap.clear(page, PageFlag.anonExclusive);
  return true;
}

function isUnreachable({ memmap, devices }: Vm, page: Page): boolean {
  return memmap.zoneOf(page) === ZoneType.Device && devices.isPrivate(page);
}
