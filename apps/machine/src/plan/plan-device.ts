// The device that a plan is about: one that is there, a namespace that becomes one first, or what is free of a region.
// User space counterparts: ndctl-create-namespace(1), daxctl-reconfigure-device(1).
import type { DevDax } from "@hetmem/dax";
import { formatBytes, KernelError, run } from "@hetmem/kernel";
import {
  busesIn,
  createNamespace,
  namespacesIn,
  NO_DEVICE_NODES,
  type NdctlContext,
  type NdRegion,
  reconfigureNamespace,
  regionsIn,
  SILENT,
} from "@hetmem/ndctl";
import { maxAvailableExtent, type Namespace, type Region } from "@hetmem/nvdimm";
import type { Machine } from "../machine.ts";

export interface PlannedDevice {
  readonly device: DevDax;
  /** The namespace that it is, and its bytes: metadata and struct pages of the device are among them. */
  readonly namespace: { readonly name: string; readonly size: number } | undefined;
  /** The commands that make it; none when it is there. */
  readonly commands: readonly string[];
}

/**
 * Finds the device, or makes it as an administrator would.
 *
 * @param name `dax0.0`, `namespace0.0`, or `region0` for all that is free of it in one piece
 * @throws KernelError ENODEV for a name that nothing has, ENOSPC for a region or a namespace without capacity, and what the
 *   namespace is refused with
 */
export function planDevice(machine: Machine, name: string): PlannedDevice {
  const { dax, nvdimm } = machine.devices;
  const device = dax.bus.devices.get(name) ?? dax.bus.classDevices.get(name);
  if (device) return { device, namespace: namespaceOf(machine, device), commands: [] };
  const region = nvdimm?.regions.find((each) => each.name === name);
  if (region) {
    if (!region.isLabelled || maxAvailableExtent(region) === 0)
      throw new KernelError("ENOSPC", `${name} has no capacity that is free: ${choices(machine)}`);
    const context = contextOf(machine);
    const made = run(createNamespace(context, [regionIn(context, name)], { mode: "devdax" }));
    return deviceOf(machine, region.bus.namespace(made.name), [
      `ndctl create-namespace -r ${name} -m devdax`,
    ]);
  }
  const namespace = nvdimm?.namespaces().find((each) => each.name === name);
  if (!namespace) throw new KernelError("ENODEV", `there is no ${name} on this machine: ${choices(machine)}`);
  if (namespace.size === 0)
    throw new KernelError(
      "ENOSPC",
      `${name} is there to be made, and has no capacity yet: ${choices(machine)}`,
    );
  if (namespace.claim?.kind === "dax") return deviceOf(machine, namespace, []);
  // Labels can't be given to modules that another region uses.
  const autolabel = nvdimm?.regions.every((other) => !sharesModule(namespace.region, other)) ?? true;
  const context = contextOf(machine);
  const victim = namespacesIn(context, regionIn(context, namespace.region.name)).find(
    (each) => each.name === name,
  );
  if (!victim) throw new KernelError("ENODEV", `${name} is gone`);
  const made = run(reconfigureNamespace(context, victim, { mode: "devdax", force: true, autolabel }));
  const command = `ndctl create-namespace -f -e ${name} -m devdax${autolabel ? "" : " --no-autolabel"}`;
  return deviceOf(machine, namespace.region.bus.namespace(made.name), [command]);
}

function contextOf({ vfs, devices }: Machine): NdctlContext {
  return { vfs, nodes: devices.nvdimmNodes ?? NO_DEVICE_NODES, report: SILENT };
}

/** @throws KernelError ENODEV when there is no such region */
function regionIn(context: NdctlContext, name: string): NdRegion {
  const region = busesIn(context)
    .flatMap((bus) => regionsIn(context, bus))
    .find((each) => each.name === name);
  if (!region) throw new KernelError("ENODEV", `there is no ${name}`);
  return region;
}

function sharesModule(region: Region, other: Region): boolean {
  const own = new Set(region.mappings.map(({ dimm }) => dimm));
  return other !== region && other.mappings.some(({ dimm }) => own.has(dimm));
}

function deviceOf(machine: Machine, namespace: Namespace, commands: readonly string[]): PlannedDevice {
  const { name, size, claim } = namespace;
  const { bus } = machine.devices.dax;
  const device = [...bus.devices.values(), ...bus.classDevices.values()].find(
    ({ region }) => `/${region.parent.devpath}` === claim?.path,
  );
  if (!device) throw new KernelError("ENODEV", `${name} is disabled: enable it with ndctl first`);
  return { device, namespace: { name, size }, commands };
}

function namespaceOf({ devices }: Machine, { region }: DevDax): PlannedDevice["namespace"] {
  const namespace = devices.nvdimm
    ?.namespaces()
    .find(({ claim }) => claim && `/${region.parent.devpath}` === claim.path);
  return namespace && { name: namespace.name, size: namespace.size };
}

/** A device of the machine that isn't RAM and can become it; undefined when it has none, or when its release can't do that. */
export function plannableDevice({ devices }: Machine): string | undefined {
  const { dax, nvdimm } = devices;
  if (!dax.bus.drivers.has("kmem")) return undefined;
  const device = [...dax.bus.devices.values()].find(
    ({ driver, size }) => driver?.name !== "kmem" && size > 0,
  );
  const namespace = nvdimm?.namespaces().find(({ size }) => size > 0);
  return device?.name ?? namespace?.name ?? freeRegions(devices)[0]?.name;
}

function freeRegions({ nvdimm }: Machine["devices"]): readonly Region[] {
  return (nvdimm?.regions ?? []).filter((region) => region.isLabelled && maxAvailableExtent(region) > 0);
}

/** The devices that can be named. */
function choices({ devices }: Machine): string {
  const { dax, nvdimm } = devices;
  const regions = freeRegions(devices);
  const known = [
    ...dax.bus.devices.keys(),
    ...(nvdimm?.namespaces() ?? []).filter(({ size }) => size > 0).map(({ name }) => name),
    ...regions.map((region) => `${region.name} (${formatBytes(maxAvailableExtent(region))} free)`),
  ];
  return known.length > 0
    ? `name one of ${known.join(", ")}`
    : "it has no dax device and no persistent memory";
}
