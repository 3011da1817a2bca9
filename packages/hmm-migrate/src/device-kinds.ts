// The kind of memory of each page. The result for the last pagemap is cached, since consecutive pages mostly belong
// to one device. Kernel counterparts: is_device_private_page(), is_device_coherent_page().
import type { Page } from "@hetmem/kernel";
import type { MemMap } from "@hetmem/page";
import type { DevicePages, Vm } from "@hetmem/mm";
import { ZoneType } from "@hetmem/zone";

export const DeviceKind = {
  /** RAM. */
  none: 0,
  private: 1,
  /** Device coherent or public memory: cpu-addressable. */
  reachable: 2,
  /** Device memory of a type that never migrates. */
  fixed: 3,
} as const;
export type DeviceKind = (typeof DeviceKind)[keyof typeof DeviceKind];

/** Valid for one step of a migration only, since pagemaps may be unmapped in between. */
export class DeviceKinds {
  /** Owner and idle count of the last looked-up device page. */
  owner: unknown = undefined;
  idleCount = 0;
  private readonly memmap: MemMap;
  private readonly devices: DevicePages;
  private pagemap = 0;
  private kind: DeviceKind = DeviceKind.fixed;

  constructor({ memmap, devices }: Vm) {
    this.memmap = memmap;
    this.devices = devices;
  }

  of(page: Page): DeviceKind {
    const { memmap } = this;
    if (memmap.zoneOf(page) !== ZoneType.Device) return DeviceKind.none;
    if (memmap.pagemap(page) !== this.pagemap) this.look(page);
    return this.kind;
  }

  /**
   * Refcount of a page that only the migration holds. Such a page is on no list. The word that holds a device page's
   * pagemap number is then equal for all RAM pages, so loops call this only when that word changes.
   */
  referencesOf(page: Page): number {
    return this.of(page) === DeviceKind.none ? 1 : 1 + this.idleCount;
  }

  private look(page: Page): void {
    const { devices, memmap } = this;
    this.pagemap = memmap.pagemap(page);
    this.owner = devices.pgmapOwner(page);
    this.idleCount = devices.idleCount(page);
    if (devices.isPrivate(page)) this.kind = DeviceKind.private;
    else if (devices.isCoherent(page) || devices.isPublic(page)) this.kind = DeviceKind.reachable;
    else this.kind = DeviceKind.fixed;
  }
}
