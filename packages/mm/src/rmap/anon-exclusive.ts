// The exclusive state of anonymous pages: an exclusive page belongs to one process, which may write to it without a
// copy. A page loses the state when it leaves its page table, unless it is pinned. Kernel counterpart:
// page_try_share_anon_rmap() in include/linux/rmap.h.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { ZoneType } from "@hetmem/zone";
import { pageMaybeDmaPinned } from "../faultin/pin-count.ts";
import type { Vm } from "../vm.ts";

/**
 * Clears the exclusive state of a page, so that it may be shared.
 *
 * @returns false when the page may be pinned, and then it stays exclusive
 * @see page_try_share_anon_rmap()
 */
export function pageTryShareAnonRmap(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  // A device-private page can't be pinned.
  if (pageMaybeDmaPinned(vm, page) && !isDevicePrivatePage(vm, page)) return false;
  memmap.clear(page, PageFlag.anonExclusive);
  return true;
}

function isDevicePrivatePage({ memmap, devices }: Vm, page: Page): boolean {
  return memmap.zoneOf(page) === ZoneType.Device && devices.isPrivate(page);
}
