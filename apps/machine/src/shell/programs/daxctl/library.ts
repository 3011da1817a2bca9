// Dax devices as daxctl sees them: through /sys alone. Each is a directory whose driver says what it is used as. User space
// counterpart: daxctl/lib/libdaxctl.c of ndctl.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { ProgramContext } from "@hetmem/shell";

export type DaxMode = "devdax" | "system-ram";

export interface DaxDevice {
  /** `dax0.1`. */
  readonly name: string;
  /** Its directory, without links. */
  readonly path: string;
  readonly region: DaxRegionPath;
}

/** Whether somebody drives it: always, where devices stand in a class. @see daxctl_dev_is_enabled() */
export function isEnabled(io: ProgramContext, device: DaxDevice): boolean {
  return device.region.model === "class" || driverOf(io, device) !== undefined;
}

export interface DaxRegionPath {
  readonly id: number;
  /** The directory of whoever provides it. */
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
export function* daxDevices(io: ProgramContext): Sleeps<DaxDevice[]> {
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

/** Regions that have at least one device: others, daxctl doesn't see. */
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

/** A file of a directory; undefined where it is missing or can't be read. */
export function* attribute(io: ProgramContext, path: string): Sleeps<string | undefined> {
  try {
    return (yield* io.vfs.read(path)).trim();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

/** A file that holds a number; undefined as attribute(). */
export function* numberIn(io: ProgramContext, path: string): Sleeps<number | undefined> {
  const text = yield* attribute(io, path);
  return text === undefined || text === "" ? undefined : Number(text);
}

/** The driver that has it; undefined where none has, or where it stands in a class. */
export function driverOf(io: ProgramContext, { path }: DaxDevice): string | undefined {
  try {
    return io.vfs.realpath(`${path}/driver`).split("/").at(-1);
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

/** @see dev_is_system_ram_capable() */
export function isSystemRam(io: ProgramContext, device: DaxDevice): boolean {
  return driverOf(io, device) === DRIVERS["system-ram"];
}

/** Its ranges, as far as root sees them. */
export function* mappingsOf(io: ProgramContext, { path }: DaxDevice): Sleeps<DaxMappingInfo[]> {
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

/** Gives a device to the driver of a mode. @throws KernelError what the driver refuses with @see daxctl_dev_enable() */
export function* enableDevice(io: ProgramContext, device: DaxDevice, mode: DaxMode): Sleeps<void> {
  expectBusModel(io, device, "daxctl_dev_enable");
  if (driverOf(io, device) !== undefined) return;
  const driver = `/sys/bus/dax/drivers/${DRIVERS[mode]}`;
  if (!namesIn(io, "/sys/bus/dax/drivers").includes(DRIVERS[mode]))
    throw new KernelError("ENOENT", `this kernel has no ${DRIVERS[mode]}: choose another profile`);
  // Being given the id, the driver takes the device at once if it can; the answer is that of the second write.
  yield* refusalOf(io, `${driver}/new_id`, device.name);
  const refused = yield* refusalOf(io, `${driver}/bind`, device.name);
  if (driverOf(io, device) !== undefined) return;
  io.err(`libdaxctl: daxctl_dev_enable: ${device.name}: failed to enable\n`);
  throw refused ?? new KernelError("ENXIO", `${device.name} has no driver: dmesg says why`);
}

/** Takes a device from its driver. @throws KernelError EBUSY whatever the kernel refused with, EOPNOTSUPP @see daxctl_dev_disable() */
export function* disableDevice(io: ProgramContext, device: DaxDevice): Sleeps<void> {
  expectBusModel(io, device, "daxctl_dev_disable");
  if (driverOf(io, device) === undefined) return;
  const isKept = yield* refusalOf(io, `${device.path}/driver/remove_id`, device.name);
  if (!isKept) yield* refusalOf(io, `${device.path}/driver/unbind`, device.name);
  if (driverOf(io, device) === undefined) return;
  io.err(`libdaxctl: daxctl_dev_disable: ${device.name}: failed to disable\n`);
  throw new KernelError("EBUSY", `${device.name} keeps its driver`);
}

/** Writes a file. @returns why it was refused, undefined when it wasn't */
export function* refusalOf(io: ProgramContext, path: string, text: string): Sleeps<KernelError | undefined> {
  try {
    yield* io.vfs.write(path, text);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
}

/** The names in a directory; none where there is no such directory. */
export function namesIn(io: ProgramContext, folder: string): string[] {
  try {
    return io.vfs.list(folder).map(({ name }) => name);
  } catch (error) {
    if (error instanceof KernelError) return [];
    throw error;
  }
}

function numberOf({ name }: DaxDevice): number {
  return Number(name.split(".")[1]);
}

/** @see device_model_is_dax_bus() */
function expectBusModel(io: ProgramContext, { name, region }: DaxDevice, caller: string): void {
  if (region.model === "bus") return;
  io.err(`libdaxctl: ${caller}: ${name}: error: device model is dax-class\n`);
  io.err(`libdaxctl: ${caller}: ${name}: see man daxctl-migrate-device-model\n`);
  throw new KernelError("EOPNOTSUPP", `${name} is in /sys/class/dax, where no driver can be chosen`);
}
