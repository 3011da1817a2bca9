// What kind of memory a page is of, for who asks page by page: pages that follow one another mostly are of one device, so
// the answer for the last one is kept. Kernel counterparts: is_device_private_page(), is_device_coherent_page().
import type { Page } from "@hetmem/kernel";
import type { MemMap } from "@hetmem/page";
import type { DevicePages, Vm } from "@hetmem/mm";
import { ZoneType } from "@hetmem/zone";

export const DeviceKind = {
  /** RAM. */
  none: 0,
  private: 1,
  /** Coherent, or public: the cpu reaches it. */
  reachable: 2,
  /** Of a kind whose pages stay where they are. */
  fixed: 3,
} as const;
export type DeviceKind = (typeof DeviceKind)[keyof typeof DeviceKind];

/** Lives no longer than one step of a migration: pagemaps come and go. */
export class DeviceKinds {
  /** Of the device's page that was asked for last. */
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
   * References of a page that the migration alone has. It is on no list: so all pages of RAM say the same where those of
   * devices say their pagemap, and loops ask only where a page says something else than the last.
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
