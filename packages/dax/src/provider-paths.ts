// Paths of providers below /sys/devices. Providers may be registered at any depth, and a sysfs pattern has a fixed
// depth, so there is one set of patterns per depth with one parameter per path component. Kernel counterpart:
// sysfs_create_groups() on the provider's kobject.
import { KernelError } from "@hetmem/kernel";
import type { AttributeTable, Params } from "@hetmem/vfs";
import type { DaxBus } from "./dax-bus.ts";
import type { DaxRegion } from "./dax-region.ts";
import type { DevDax } from "./dev-dax.ts";

/** The providers whose paths have `depth` components. */
export class ProviderPaths {
  readonly depth: number;
  /** Pattern below /sys/devices: `{p0}/{p1}`. */
  readonly pattern: string;
  readonly instances: NonNullable<AttributeTable["instances"]>;
  readonly #bus: DaxBus;
  readonly #names: readonly string[];

  /** @param depth number of path components below `devices` */
  constructor(bus: DaxBus, depth: number) {
    this.#bus = bus;
    this.depth = depth;
    this.#names = Array.from({ length: depth }, (_, i) => `p${i}`);
    this.pattern = this.#names.map((name) => `{${name}}`).join("/");
    this.instances = Object.fromEntries(
      this.#names.map((name, at) => [name, (params: Params) => this.#components(params, at)]),
    );
  }

  /** Whether there is a provider at this depth now. */
  any(): boolean {
    return this.#below([]).length > 0;
  }

  /** The region of the provider at the path given by the parameters; undefined for none. */
  find(params: Params): DaxRegion | undefined {
    const [region] = this.#below(this.#names.map((name) => params[name] ?? ""));
    return region;
  }

  /**
   * find() for a file operation.
   *
   * @throws KernelError ENXIO when the provider has gone away since the file was opened
   */
  region(params: Params): DaxRegion {
    const region = this.find(params);
    if (!region) throw new KernelError("ENXIO", "the provider of the region is gone");
    return region;
  }

  /**
   * The device of this name in the region.
   *
   * @throws KernelError ENXIO when it has gone away since the file was opened
   */
  device(params: Params, name: string): DevDax {
    const device = this.region(params).devices.find((candidate) => candidate.name === name);
    if (!device) throw new KernelError("ENXIO", `${name} is gone`);
    return device;
  }

  #components(params: Params, at: number): Set<string> {
    const above = this.#names.slice(0, at).map((name) => params[name] ?? "");
    return new Set(this.#below(above).map(({ parent }) => componentsOf(parent.devpath)[at] ?? ""));
  }

  #below(above: readonly string[]): DaxRegion[] {
    return [...this.#bus.regions].filter(({ parent }) => {
      const own = componentsOf(parent.devpath);
      return own.length === this.depth && above.every((name, i) => name === own[i]);
    });
  }
}

/** Path components without the leading `devices`. */
function componentsOf(devpath: string): string[] {
  return devpath.split("/").slice(1);
}
