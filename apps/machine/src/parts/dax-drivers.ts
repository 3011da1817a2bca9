// The standard drivers of the dax bus as parts. Kernel counterparts: drivers/dax/device.c, drivers/dax/kmem.c.
import { DeviceDax } from "@hetmem/dax";
import { Kmem, type KmemPolicy } from "@hetmem/dax-kmem";
import type { DaxDriverPart } from "./machine-parts.ts";

/** Maps devices into processes. It takes each device that no other driver claims. */
export const deviceDax: DaxDriverPart = ({ vm, pagemaps }) => new DeviceDax({ vm, pagemaps });

/** Makes RAM of devices, by the rules of a release. */
export function kmem(policy: KmemPolicy): DaxDriverPart {
  const part: DaxDriverPart = ({ vm, pagemaps: { hotplug } }) =>
    new Kmem({ hotplug, memoryTypes: vm.tiers, policy });
  KMEM.add(part);
  return part;
}

/** Whether a part was made by kmem(), and is what CONFIG_DEV_DAX_KMEM brings. */
export function isKmem(part: DaxDriverPart): boolean {
  return KMEM.has(part);
}

const KMEM = new WeakSet<DaxDriverPart>();
