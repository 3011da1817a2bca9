// Where the providers of regions stand: anywhere below /sys/devices, and they come and go. A pattern of /sys has a fixed
// depth, so that there is a set of patterns for each; a name in one is that of a provider's path at its depth. Kernel
// counterpart: what sysfs_create_groups() on the provider's kobject does by itself.
import { KernelError } from "@hetmem/kernel";
import type { AttributeTable, Params } from "@hetmem/vfs";
import type { DaxBus } from "./dax-bus.ts";
import type { DaxRegion } from "./dax-region.ts";
import type { DevDax } from "./dev-dax.ts";

/** The providers whose paths have one number of components. */
export class ProviderPaths {
  readonly depth: number;
  /** Below /sys/devices: `{p0}/{p1}`. */
  readonly pattern: string;
  readonly instances: NonNullable<AttributeTable["instances"]>;
  readonly #bus: DaxBus;
  readonly #names: readonly string[];

  /** @param depth components below `devices` */
  constructor(bus: DaxBus, depth: number) {
    this.#bus = bus;
    this.depth = depth;
    this.#names = Array.from({ length: depth }, (_, i) => `p${i}`);
    this.pattern = this.#names.map((name) => `{${name}}`).join("/");
    this.instances = Object.fromEntries(
      this.#names.map((name, at) => [name, (params: Params) => this.#components(params, at)]),
    );
  }

  /** The region of the provider whose path the parameters spell. */
  find(params: Params): DaxRegion | undefined {
    const [region] = this.#below(this.#names.map((name) => params[name] ?? ""));
    return region;
  }

  /** @throws KernelError ENXIO when it has gone meanwhile */
  region(params: Params): DaxRegion {
    const region = this.find(params);
    if (!region) throw new KernelError("ENXIO", "the provider of the region is gone");
    return region;
  }

  /** Its device of this name. @throws KernelError ENXIO when it has gone meanwhile */
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

/** Without `devices`, with which every path begins. */
function componentsOf(devpath: string): string[] {
  return devpath.split("/").slice(1);
}
