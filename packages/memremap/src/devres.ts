// Managed resources of a device: release actions that run in reverse order when the device goes away or its driver is
// unbound; and the devm_ variants of this package's functions. Kernel counterparts: drivers/base/devres.c, the devm_
// functions of kernel/iomem.c and mm/memremap.c.
import { KernelBug, KernelError, type NodeId, type PhysAddr, type Sleeps } from "@hetmem/kernel";
import type { DevPagemap } from "./dev-pagemap.ts";
import type { IoMapping, IoMappings } from "./io-mappings.ts";
import type { Pagemaps } from "./pagemaps.ts";

/** A managed resource and its release action. */
interface Held {
  readonly what: unknown;
  readonly release: () => Sleeps<void>;
}

export class Devres {
  #held: Held[] = [];

  /**
   * Adds a release action.
   *
   * @param what key by which releaseAction() finds the action
   * @see devm_add_action()
   */
  addAction(what: unknown, release: () => Sleeps<void>): void {
    this.#held.push({ what, release });
  }

  /**
   * Runs and removes the newest action with this key.
   *
   * @throws KernelBug when there is none
   * @see devm_release_action()
   */
  *releaseAction(what: unknown): Sleeps<void> {
    const at = this.#held.findLastIndex((each) => each.what === what);
    const [held] = at < 0 ? [] : this.#held.splice(at, 1);
    if (!held) throw new KernelBug("a device gives back what it doesn't hold");
    yield* held.release();
  }

  /** Runs all actions in reverse order of addition. @see devres_release_all() */
  *releaseAll(): Sleeps<void> {
    for (let held = this.#held.pop(); held; held = this.#held.pop()) yield* held.release();
  }

  get count(): number {
    return this.#held.length;
  }
}

/** The part of a device that the devm_ functions use. @see struct device */
export interface Device {
  readonly name: string;
  /** NUMA node of the device, undefined for none. */
  readonly node: NodeId | undefined;
  readonly devres: Devres;
}

/**
 * Maps a pagemap until the device goes away.
 *
 * @throws KernelError as memremapPages(), ENOMEM
 * @see devm_memremap_pages()
 */
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
 * Maps memory until the device goes away.
 *
 * @param size bytes
 * @param flags accepted modes, Memremap bits
 * @throws KernelError ENXIO when no mode works; memremap() returns undefined instead ("devm_memremap: convert to
 * return ERR_PTR", 2015)
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
  // The release unmaps the mapping itself; until a fix of 2015 the kernel passed the address of the devres record
  // instead.
  device.devres.addAction(mapping, function* () {
    mappings.memunmap(mapping);
  });
  return mapping;
}

/** @throws KernelBug for a mapping that the device doesn't hold @see devm_memunmap() */
export function* devmMemunmap(device: Device, mapping: IoMapping): Sleeps<void> {
  yield* device.devres.releaseAction(mapping);
}
