// Dax devices as directories of /sys. The driver of a device is its mode: device_dax, or kmem for RAM. User space counterpart:
// daxctl/lib/libdaxctl.c of ndctl.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { driverOf, namesIn, numberIn, refusalOf, type TreeContext } from "../sysfs/attributes.ts";

/** The tree, and a place for messages of the library. */
export interface DaxctlContext extends TreeContext {
  err(text: string): void;
}

export type DaxMode = "devdax" | "system-ram";

export interface DaxDevice {
  /** `dax0.1`. */
  readonly name: string;
  /** Its directory, without links. */
  readonly path: string;
  readonly region: DaxRegionPath;
}

/** Whether a driver has the device. A device in /sys/class/dax counts as enabled. @see daxctl_dev_is_enabled() */
export function isEnabled(io: TreeContext, device: DaxDevice): boolean {
  return device.region.model === "class" || driverOf(io, device) !== undefined;
}

export interface DaxRegionPath {
  readonly id: number;
  /** The directory of the device that provides the region. */
  readonly path: string;
  readonly model: "bus" | "class";
}

export interface DaxMappingInfo {
  readonly page_offset: number;
  readonly start: number;
  readonly end: number;
  readonly size: number;
}

const DRIVERS: Readonly<Record<DaxMode, string>> = { devdax: "device_dax", "system-ram": "kmem" };

/** The devices of every region, regions ascending. */
export function* daxDevices(io: TreeContext): Sleeps<DaxDevice[]> {
  const devices: DaxDevice[] = [];
  for (const [folder, model] of [
    ["/sys/bus/dax/devices", "bus"],
    ["/sys/class/dax", "class"],
  ] as const) {
    for (const name of namesIn(io, folder)) {
      const [, region, id] = /^dax(\d+)\.(\d+)$/.exec(name) ?? [];
      if (region === undefined || id === undefined) continue;
      const path = io.vfs.realpath(`${folder}/${name}`);
      const provider = path.split("/").slice(0, model === "bus" ? -1 : -2);
      devices.push({ name, path, region: { id: Number(region), path: provider.join("/"), model } });
    }
  }
  return devices.sort((one, other) => one.region.id - other.region.id || numberOf(one) - numberOf(other));
}

/** Regions that have at least one device: daxctl doesn't see others. */
export function regionsOf(devices: readonly DaxDevice[]): DaxRegionPath[] {
  const found = new Map<string, DaxRegionPath>();
  for (const { region } of devices) if (!found.has(region.path)) found.set(region.path, region);
  return [...found.values()];
}

/** Whether `--region` fits: a number, `region0`, or nothing. @see util_daxctl_region_filter() */
export function isRegion({ id }: DaxRegionPath, wanted: string | undefined): boolean {
  if (wanted === undefined || wanted === "all") return true;
  const [, number] = /^\s*(?:region)?([+-]?\d+)/.exec(wanted) ?? [];
  return Number(number) === id;
}

/** Whether a name on the command line fits: `dax0.1` or `0.1`. @see util_daxctl_dev_filter() */
export function isDevice({ name, region }: DaxDevice, wanted: string | undefined): boolean {
  if (wanted === undefined || wanted === "all" || wanted === name) return true;
  const [, regionId, id] = /^\s*(\d+)\.(\d+)/.exec(wanted) ?? [];
  return Number(regionId) === region.id && name === `dax${region.id}.${Number(id)}`;
}

/** @see dev_is_system_ram_capable() */
export function isSystemRam(io: TreeContext, device: DaxDevice): boolean {
  return driverOf(io, device) === DRIVERS["system-ram"];
}

/** The ranges of a device, by its `mapping` directories, which root can read. */
export function* mappingsOf(io: TreeContext, { path }: DaxDevice): Sleeps<DaxMappingInfo[]> {
  const mappings: DaxMappingInfo[] = [];
  // Ends: at the first mapping that the device does not have.
  for (let id = 0; ; id++) {
    const start = yield* numberIn(io, `${path}/mapping${id}/start`);
    const end = yield* numberIn(io, `${path}/mapping${id}/end`);
    const offset = yield* numberIn(io, `${path}/mapping${id}/page_offset`);
    if (start === undefined || end === undefined || offset === undefined) return mappings;
    mappings.push({ page_offset: offset, start, end, size: end - start + 1 });
  }
}

/** Gives a device to the driver of a mode. @throws KernelError the driver's refusal @see daxctl_dev_enable() */
export function* enableDevice(io: DaxctlContext, device: DaxDevice, mode: DaxMode): Sleeps<void> {
  expectBusModel(io, device, "daxctl_dev_enable");
  if (driverOf(io, device) !== undefined) return;
  const driver = `/sys/bus/dax/drivers/${DRIVERS[mode]}`;
  if (!namesIn(io, "/sys/bus/dax/drivers").includes(DRIVERS[mode]))
    throw new KernelError("ENOENT", `this kernel has no ${DRIVERS[mode]}: choose another profile`);
  // The first write makes the driver take the device at once if it can; the second one has the answer.
  yield* refusalOf(io, `${driver}/new_id`, device.name);
  const refused = yield* refusalOf(io, `${driver}/bind`, device.name);
  if (driverOf(io, device) !== undefined) return;
  io.err(`libdaxctl: daxctl_dev_enable: ${device.name}: failed to enable\n`);
  throw refused ?? new KernelError("ENXIO", `${device.name} has no driver: dmesg says why`);
}

/** Takes a device from its driver. @throws KernelError EBUSY whatever the kernel refused with, EOPNOTSUPP @see daxctl_dev_disable() */
export function* disableDevice(io: DaxctlContext, device: DaxDevice): Sleeps<void> {
  expectBusModel(io, device, "daxctl_dev_disable");
  if (driverOf(io, device) === undefined) return;
  const isKept = yield* refusalOf(io, `${device.path}/driver/remove_id`, device.name);
  if (!isKept) yield* refusalOf(io, `${device.path}/driver/unbind`, device.name);
  if (driverOf(io, device) === undefined) return;
  io.err(`libdaxctl: daxctl_dev_disable: ${device.name}: failed to disable\n`);
  throw new KernelError("EBUSY", `${device.name} keeps its driver`);
}

function numberOf({ name }: DaxDevice): number {
  return Number(name.split(".")[1]);
}

/** @see device_model_is_dax_bus() */
function expectBusModel(io: DaxctlContext, { name, region }: DaxDevice, caller: string): void {
  if (region.model === "bus") return;
  io.err(`libdaxctl: ${caller}: ${name}: error: device model is dax-class\n`);
  io.err(`libdaxctl: ${caller}: ${name}: see man daxctl-migrate-device-model\n`);
  throw new KernelError("EOPNOTSUPP", `${name} is in /sys/class/dax, where no driver can be chosen`);
}
