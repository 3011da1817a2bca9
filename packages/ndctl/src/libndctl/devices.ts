// The devices of the nd bus as directories: buses, modules, regions, namespaces, and the btt, pfn and dax devices that claim one.
// User space counterpart: the ..._foreach() of ndctl/lib/libndctl.c.
import type { Sleeps } from "@hetmem/kernel";
import { attribute, driverOf, namesIn, numberIn, realPath, type TreeContext } from "../sysfs/attributes.ts";

export interface NdBus {
  /** `ndbus0`. */
  readonly name: string;
  /** Its directory, without links. */
  readonly path: string;
  readonly id: number;
}

/** @see struct ndctl_dimm */
export interface NdDimm {
  /** `nmem0`. */
  readonly name: string;
  readonly path: string;
  readonly id: number;
  readonly bus: NdBus;
}

/** @see struct ndctl_region */
export interface NdRegion {
  /** `region0`. */
  readonly name: string;
  readonly path: string;
  readonly id: number;
  readonly bus: NdBus;
}

/** @see struct ndctl_namespace */
export interface NdNamespace {
  /** `namespace0.1`. */
  readonly name: string;
  readonly path: string;
  /** The number behind the dot. */
  readonly id: number;
  readonly region: NdRegion;
  readonly bus: NdBus;
}

export type ClaimKind = "btt" | "pfn" | "dax";

/** @see struct ndctl_btt, ndctl_pfn, ndctl_dax */
export interface NdClaim {
  /** `dax0.0`. */
  readonly name: string;
  readonly path: string;
  readonly kind: ClaimKind;
  readonly region: NdRegion;
  readonly bus: NdBus;
}

/** The part of a region that lies on one module. @see struct ndctl_mapping */
export interface NdMapping {
  readonly dimm: NdDimm;
  /** First byte, by the module's own addresses. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  readonly position: number;
}

/** @see ndctl_bus_foreach() */
export function busesIn(context: TreeContext): NdBus[] {
  return numbered(context, "/sys/class/nd", "ndctl").flatMap(({ name, id }) => {
    const path = realPath(context, `/sys/class/nd/${name}/device`);
    return path === undefined ? [] : [{ name: lastOf(path), path, id }];
  });
}

/** @see ndctl_dimm_foreach() */
export function dimmsIn(context: TreeContext, bus: NdBus): NdDimm[] {
  return numbered(context, bus.path, "nmem").map((device) => ({ ...device, bus }));
}

/** @see ndctl_region_foreach() */
export function regionsIn(context: TreeContext, bus: NdBus): NdRegion[] {
  return numbered(context, bus.path, "region").map((device) => ({ ...device, bus }));
}

/** @see ndctl_namespace_foreach() */
export function namespacesIn(context: TreeContext, region: NdRegion): NdNamespace[] {
  const { path, id, bus } = region;
  return numbered(context, path, `namespace${id}.`).map((device) => ({ ...device, region, bus }));
}

/** The claim of a region that has that name; undefined for an empty name. */
function claimNamed(region: NdRegion, name: string | undefined): NdClaim | undefined {
  const [, kind] = /^(btt|pfn|dax)\d+\.\d+$/.exec(name ?? "") ?? [];
  if (name === undefined || kind === undefined) return undefined;
  return { name, path: `${region.path}/${name}`, kind: kind as ClaimKind, region, bus: region.bus };
}

/** The device that has a namespace; undefined where none has. @see ndctl_namespace_get_btt(), _pfn(), _dax() */
export function* holderOf(context: TreeContext, { path, region }: NdNamespace): Sleeps<NdClaim | undefined> {
  return claimNamed(region, yield* attribute(context, `${path}/holder`));
}

/** The claim of a region that is to be configured next. @see ndctl_region_get_pfn_seed() */
export function* claimSeed(
  context: TreeContext,
  region: NdRegion,
  kind: ClaimKind,
): Sleeps<NdClaim | undefined> {
  return claimNamed(region, yield* attribute(context, `${region.path}/${kind}_seed`));
}

/** The namespace of a region that is to be configured next. @see ndctl_region_get_namespace_seed() */
export function* namespaceSeed(context: TreeContext, region: NdRegion): Sleeps<NdNamespace | undefined> {
  const name = yield* attribute(context, `${region.path}/namespace_seed`);
  return namespacesIn(context, region).find((namespace) => namespace.name === name);
}

/** @see ndctl_mapping_foreach() */
export function* mappingsOf(context: TreeContext, { path, bus }: NdRegion): Sleeps<NdMapping[]> {
  const dimms = dimmsIn(context, bus);
  const mappings: NdMapping[] = [];
  const count = (yield* numberIn(context, `${path}/mappings`)) ?? 0;
  for (let i = 0; i < count; i++) {
    const words = ((yield* attribute(context, `${path}/mapping${i}`)) ?? "").split(",");
    const [name, offset, length, position] = words;
    const dimm = dimms.find((each) => each.name === name);
    if (dimm)
      mappings.push({ dimm, offset: Number(offset), length: Number(length), position: Number(position) });
  }
  return mappings;
}

/** Whether a driver is bound, once no probe is under way. @see is_enabled() */
export function* isEnabled(
  context: TreeContext,
  device: { readonly path: string; readonly bus: NdBus },
): Sleeps<boolean> {
  yield* attribute(context, `${device.bus.path}/wait_probe`);
  return driverOf(context, device) !== undefined;
}

/** Whether the namespace or the device that claims it has a driver. @see ndctl_namespace_is_active() */
export function* isActive(context: TreeContext, namespace: NdNamespace): Sleeps<boolean> {
  return yield* isEnabled(context, (yield* holderOf(context, namespace)) ?? namespace);
}

/** Whether an enabled region uses a module. @see ndctl_dimm_is_active() */
export function* isInUse(context: TreeContext, { path }: NdDimm): Sleeps<boolean> {
  return (yield* attribute(context, `${path}/state`)) === "active";
}

/** The name of the disk that a namespace or a claim is; undefined where it is none. @see get_block_device() */
export function diskOf(context: TreeContext, { path }: NdNamespace | NdClaim): string | undefined {
  return namesIn(context, `${path}/block`)[0];
}

/** Entries of a directory with a number behind a word, in the order of numbers. @see device_parse() */
function numbered(
  context: TreeContext,
  folder: string,
  word: string,
): { readonly name: string; readonly path: string; readonly id: number }[] {
  return namesIn(context, folder)
    .filter((name) => name.startsWith(word) && /^\d+$/.test(name.slice(word.length)))
    .map((name) => ({ name, path: `${folder}/${name}`, id: Number(name.slice(word.length)) }))
    .sort((one, other) => one.id - other.id);
}

function lastOf(path: string): string {
  return path.split("/").at(-1) ?? path;
}
