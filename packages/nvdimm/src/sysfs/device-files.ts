// Files common to all devices of the nd bus, and lookup of the device of a path. Kernel counterpart:
// nd_device_attributes, nd_numa_attributes and nvdimm_bus_uevent() in drivers/nvdimm/bus.c.
import { KernelError } from "@hetmem/kernel";
import type { Attribute, AttributeTable, Params } from "@hetmem/vfs";
import type { NvdimmBus } from "../devices/bus.ts";
import { Claim } from "../devices/claim.ts";
import type { NdDevice } from "../devices/device.ts";
import { Nvdimm } from "../devices/dimm.ts";
import { Namespace } from "../devices/namespace.ts";
import { Region } from "../devices/region.ts";

/** A part of a file table. */
export type TablePart = Pick<AttributeTable, "files" | "instances" | "links" | "directories">;
type DeviceOf = (params: Params) => NdDevice;

/** The `devtype` of a device, and its type number in modaliases. */
interface DeviceType {
  readonly devtype: string;
  readonly number: number;
}

/** A read-only file with one line. */
export function line(show: (params: Params) => string | number | bigint): Attribute {
  return { show: (params) => `${show(params)}\n` };
}

/** A read-only file with one line, readable by root only. @see DEVICE_ATTR_ADMIN_RO() */
export function adminLine(show: (params: Params) => string): Attribute {
  return { mode: 0o400, show: (params) => `${show(params)}\n` };
}

/**
 * The files `devtype`, `modalias`, `uevent` and the links of a device.
 *
 * @param at pattern of its directory, ending in a slash
 * @param driver name of the pattern parameter that has an instance while a driver is bound
 */
export function deviceFiles(at: string, driver: string, deviceOf: DeviceOf): TablePart {
  return {
    files: {
      [`${at}devtype`]: line((params) => typeOf(deviceOf(params)).devtype),
      [`${at}modalias`]: line((params) => `nd:t${typeOf(deviceOf(params)).number}`),
      [`${at}uevent`]: { show: (params) => ueventText(deviceOf(params)), store: () => {} },
    },
    instances: { [driver]: (params) => (deviceOf(params).driver === undefined ? [] : ["driver"]) },
    links: {
      [`${at}subsystem`]: (params) => `${upFrom(deviceOf(params).path)}bus/nd`,
      [`${at}{${driver}}`]: (params) => {
        const device = deviceOf(params);
        return `${upFrom(device.path)}bus/nd/drivers/${device.driver ?? ""}`;
      },
    },
    directories: [],
  };
}

/** The files `numa_node`, and `target_node` if the firmware names one. */
export function nodeFiles(at: string, found: (params: Params) => Region): TablePart {
  const target = `${at.replaceAll(/[{}/]/g, "_")}target`;
  return {
    files: {
      [`${at}numa_node`]: line((params) => found(params).numaNode),
      [`${at}{${target}}`]: line((params) => found(params).targetNode),
    },
    instances: { [target]: (params) => (found(params).targetNode < 0 ? [] : ["target_node"]) },
  };
}

/** Merges parts of a table. */
export function joined(parts: readonly TablePart[]): TablePart {
  return {
    files: Object.assign({}, ...parts.map(({ files }) => files)),
    instances: Object.assign({}, ...parts.map(({ instances }) => instances)),
    links: Object.assign({}, ...parts.map(({ links }) => links)),
    directories: parts.flatMap(({ directories = [] }) => directories),
  };
}

export function dimmOf(bus: NvdimmBus, { dimm }: Params): Nvdimm {
  const found = bus.dimms.find(({ name }) => name === dimm);
  if (!found) throw new KernelError("ENODEV", `${dimm} is gone`);
  return found;
}

export function regionOf(bus: NvdimmBus, { region = "" }: Params): Region {
  return bus.region(region);
}

/** `../` for each directory of a path below /sys. */
export function upFrom(path: string): string {
  return "../".repeat(path.split("/").length - 1);
}

/** The type of a device. @see to_nd_device_type() */
function typeOf(device: NdDevice): DeviceType {
  if (device instanceof Nvdimm) return { devtype: "nvdimm", number: 1 };
  if (device instanceof Region) return { devtype: "nd_pmem", number: 2 };
  if (device instanceof Claim)
    return { devtype: `nd_${device.kind}`, number: device.kind === "dax" ? 7 : device.region.nstype };
  const { kind, region } = device as Namespace;
  return { devtype: `nd_namespace_${kind}`, number: region.nstype };
}

function ueventText(device: NdDevice): string {
  const { devtype, number } = typeOf(device);
  const node =
    device instanceof Nvdimm ? [`MAJOR=${DIMM_MAJOR}`, `MINOR=${device.id}`, `DEVNAME=${device.name}`] : [];
  const driver = device.driver === undefined ? [] : [`DRIVER=${device.driver}`];
  return [...node, `DEVTYPE=${devtype}`, ...driver, `MODALIAS=nd:t${number}`]
    .map((text) => `${text}\n`)
    .join("");
}

/** Dynamic major numbers, as on the captured machine. */
export const DIMM_MAJOR = 253;
export const BUS_MAJOR = 254;
export const BLOCK_EXT_MAJOR = 259;
