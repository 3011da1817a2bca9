// device_dax meets every obligation of a driver of the dax bus, and the memory of its devices those of a pagemap's ops.
import { checkConformance, conforms, formatConformance } from "@hetmem/driver-kit";
import { daxDriverKit } from "@hetmem/driver-kit/dax-driver";
import { type PagemapHost, pagemapOpsKit, type PagemapUnderTest } from "@hetmem/driver-kit/pagemap-ops";
import { KernelBug, MiB, physAddr, type Sleeps } from "@hetmem/kernel";
import type { DevPagemap } from "@hetmem/memremap";
import { MapFlag, mmap, Prot } from "@hetmem/mm";
import { expect, test } from "vitest";
import {
  allocDaxRegion,
  createDevDax,
  DaxBus,
  type DevDax,
  DeviceDax,
  type DeviceDaxOptions,
} from "../src/index.ts";

test("device_dax meets every obligation of a driver", () => {
  const subject = { name: "device_dax", create: (host: DeviceDaxOptions) => new DeviceDax(host) };
  const report = checkConformance(daxDriverKit, subject, { seeds: 7 });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test("the memory of a dax device meets every obligation of pagemap ops", () => {
  const report = checkConformance(pagemapOpsKit, daxMemory, { seeds: 2 });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

const daxMemory: PagemapUnderTest = {
  name: "memory of a dax device",
  *probe({ vm, pagemaps }) {
    const driver = new DeviceDax({ vm, pagemaps });
    const device = yield* boundDevice({ vm, pagemaps }, driver);
    return {
      pagemap: pagemapOf(pagemaps.mapped()),
      mapInto: (process, address) => {
        if (process.mm === undefined) throw new KernelBug("the process of a trial has exited");
        return mmap(process.mm, {
          address,
          length: 2 * MiB,
          prot: Prot.READ | Prot.WRITE,
          flags: MapFlag.SHARED | MapFlag.FIXED,
          file: driver.open(device, true),
        });
      },
    };
  },
};

/** A device of 2 MiB that device_dax has. */
function* boundDevice(
  { vm: { kernel }, pagemaps }: Pick<PagemapHost, "vm" | "pagemaps">,
  driver: DeviceDax,
): Sleeps<DevDax> {
  const bus = new DaxBus({ kernel, iomem: pagemaps.hotplug.iomem });
  yield* bus.registerDriver(driver);
  const region = allocDaxRegion(
    bus,
    { devpath: "devices/platform/hmem.0", numaNode: 0 },
    { id: 0, start: physAddr(0x8000_0000), size: 2 * MiB, targetNode: 0, align: 2 * MiB, kind: "dynamic" },
  );
  return yield* createDevDax(region, { size: 2 * MiB });
}

function pagemapOf([pagemap]: readonly DevPagemap[]): DevPagemap {
  if (pagemap === undefined) throw new KernelBug("device_dax has mapped nothing");
  return pagemap;
}
