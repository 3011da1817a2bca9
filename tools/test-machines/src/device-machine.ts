// Pages of a device for cases about gup: ZONE_DEVICE struct pages without a driver, with a pagemap that a case can
// mark as dying.
import { nodeId, type Page, type Pfn, physAddr, run } from "@hetmem/kernel";
import { type DevicePages, noDevicePages } from "@hetmem/mm";
import { MigrateType, movePfnRangeToZone, type Zone, ZoneType } from "@hetmem/zone";
import { hotplugVmMachine, type HotplugVmMachine } from "./hotplug-vm-machine.ts";

const SIZE = 128 * 2 ** 20;
const START = 33 * SIZE;

/** State of the pages, set by the case. */
export interface DeviceState {
  dying: boolean;
  fsdax: boolean;
  coherent: boolean;
  /** References held on the pagemap, and references ever taken. */
  held: number;
  taken: number;
  /** Pages that became idle. */
  readonly freed: Page[];
  migrateCoherent: DevicePages["migrateCoherent"];
}

export interface DeviceMachine extends HotplugVmMachine {
  readonly device: DeviceState;
  /** The n-th page of the device. */
  devicePage(n: number): Page;
}

export function deviceMachine(): DeviceMachine {
  const device: DeviceState = {
    dying: false,
    fsdax: false,
    coherent: false,
    held: 0,
    taken: 0,
    freed: [],
    migrateCoherent: noDevicePages.migrateCoherent,
  };
  const ofDevice = (page: Page): boolean => machine.memory.memmap.zoneOf(page) === ZoneType.Device;
  const machine: HotplugVmMachine = hotplugVmMachine({
    devices: {
      ...noDevicePages,
      tryGetPagemap() {
        if (device.dying) return false;
        device.held++;
        device.taken++;
        return true;
      },
      putPagemap: () => {
        device.held--;
      },
      isFsdax: (page) => device.fsdax && ofDevice(page),
      isPrivate: (page) => !device.coherent && !device.fsdax && ofDevice(page),
      isCoherent: (page) => device.coherent && ofDevice(page),
      migrateCoherent: (vm, page) => device.migrateCoherent(vm, page),
    },
  });
  const { hotplug, memory, vm } = machine;
  const first = (START / 4096) as Pfn;
  run(hotplug.locks.lockDeviceHotplug());
  run(hotplug.locks.memHotplugBegin());
  run(hotplug.archAddMemory(nodeId(0), physAddr(START), SIZE, { altmap: undefined, memoryBlocks: false }));
  const zone = memory.nodes[0]?.zones[ZoneType.Device] as Zone;
  movePfnRangeToZone(memory, zone, first, SIZE / 4096, MigrateType.Movable);
  hotplug.locks.memHotplugDone();
  hotplug.locks.unlockDeviceHotplug();
  memory.memmap.setFreePage(ZoneType.Device, (page) => device.freed.push(page));
  return {
    ...machine,
    vm,
    device,
    devicePage: (n) => memory.memmap.pfnToPage((first + n) as Pfn),
  };
}
