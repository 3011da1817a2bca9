// What a driver took for a device, to be given back when the device goes or its driver is unbound, the last first. And
// the devm_ forms of what this package hands out. Kernel counterparts: drivers/base/devres.c, the devm_ functions of
// kernel/iomem.c and mm/memremap.c.
import { KernelBug, KernelError, type NodeId, type PhysAddr, type Sleeps } from "@hetmem/kernel";
import type { DevPagemap } from "./dev-pagemap.ts";
import type { IoMapping, IoMappings } from "./io-mappings.ts";
import type { Pagemaps } from "./pagemaps.ts";

/** What was taken, and how it is given back. */
interface Held {
  readonly what: unknown;
  readonly release: () => Sleeps<void>;
}

export class Devres {
  #held: Held[] = [];

  /**
   * Remembers to give something back.
   *
   * @param what by which releaseAction() finds it
   * @see devm_add_action()
   */
  addAction(what: unknown, release: () => Sleeps<void>): void {
    this.#held.push({ what, release });
  }

  /** Gives one thing back now. @throws KernelBug when it isn't held @see devm_release_action() */
  *releaseAction(what: unknown): Sleeps<void> {
    const at = this.#held.findLastIndex((each) => each.what === what);
    const [held] = at < 0 ? [] : this.#held.splice(at, 1);
    if (!held) throw new KernelBug("a device gives back what it doesn't hold");
    yield* held.release();
  }

  /** Gives all back, the last first. @see devres_release_all() */
  *releaseAll(): Sleeps<void> {
    for (let held = this.#held.pop(); held; held = this.#held.pop()) yield* held.release();
  }

  get count(): number {
    return this.#held.length;
  }
}

/** What the devm_ forms need of a device. @see struct device */
export interface Device {
  readonly name: string;
  /** undefined: near no node in particular. */
  readonly node: NodeId | undefined;
  readonly devres: Devres;
}

/** memremapPages() until the device goes. @throws KernelError as it does @see devm_memremap_pages() */
export function* devmMemremapPages(pagemaps: Pagemaps, device: Device, pagemap: DevPagemap): Sleeps<void> {
  yield* pagemaps.memremapPages(pagemap, device.node);
  try {
    pagemaps.memory.kernel.faults.point("devres_alloc").alloc(device.name);
  } catch (error) {
    yield* pagemaps.memunmapPages(pagemap);
    throw error;
  }
  device.devres.addAction(pagemap, () => pagemaps.memunmapPages(pagemap));
}

/** @see devm_memunmap_pages() */
export function* devmMemunmapPages(device: Device, pagemap: DevPagemap): Sleeps<void> {
  yield* device.devres.releaseAction(pagemap);
}

/**
 * memremap() until the device goes.
 *
 * @throws KernelError ENXIO when no mode works: never nothing ("devm_memremap: convert to return ERR_PTR", 2015)
 * @see devm_memremap()
 */
export function devmMemremap(
  mappings: IoMappings,
  device: Device,
  start: PhysAddr,
  size: number,
  flags: number,
): IoMapping {
  const mapping = mappings.memremap(start, size, flags);
  if (!mapping) {
    throw new KernelError(
      "ENXIO",
      `${device.name} can't map 0x${start.toString(16)}+0x${size.toString(16)} in any of the modes it asked for`,
    );
  }
  // The mapping itself is given back, not where it is noted, as it once was (2015).
  device.devres.addAction(mapping, function* () {
    mappings.memunmap(mapping);
  });
  return mapping;
}

/** @throws KernelBug for what the device didn't map @see devm_memunmap() */
export function* devmMemunmap(device: Device, mapping: IoMapping): Sleeps<void> {
  yield* device.devres.releaseAction(mapping);
}
