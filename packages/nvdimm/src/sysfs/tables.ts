// All files of a bus: its devices, /sys/bus/nd with its drivers, /sys/class/nd, and device nodes in /dev. Kernel
// counterpart: drivers/nvdimm/bus.c, with drivers/base/bus.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { AttributeTable, Params } from "@hetmem/vfs";
import type { NvdimmBus } from "../devices/bus.ts";
import { Claim } from "../devices/claim.ts";
import type { NdDevice, NdDriverName } from "../devices/device.ts";
import { Nvdimm } from "../devices/dimm.ts";
import { Namespace } from "../devices/namespace.ts";
import { Region } from "../devices/region.ts";
import { bindClaim, bindNamespace, unbindClaim, unbindNamespace } from "../drivers/bind.ts";
import { disableDimm, disableRegion, enableDimm, enableRegion } from "../drivers/nd-region.ts";
import { busFiles, dimmFiles } from "./bus-files.ts";
import { BUS_MAJOR, DIMM_MAJOR, joined } from "./device-files.ts";
import { claimFiles, namespaceFiles } from "./namespace-files.ts";
import { regionFiles } from "./region-files.ts";

const DRIVERS: readonly NdDriverName[] = ["dax_pmem", "nd_bus", "nd_pmem", "nd_region", "nvdimm"];

/** The file tables, to be mounted while the bus is registered. */
export function nvdimmTables(bus: NvdimmBus): AttributeTable[] {
  return [deviceTable(bus), busTable(bus), classTable(bus), nodeTable(bus)];
}

function deviceTable(bus: NvdimmBus): AttributeTable {
  return {
    root: `/sys${bus.path}`,
    ...joined([busFiles(bus), dimmFiles(bus), regionFiles(bus), namespaceFiles(bus), claimFiles(bus)]),
  };
}

function busTable(bus: NvdimmBus): AttributeTable {
  return {
    root: "/sys/bus/nd",
    instances: {
      device: () => [bus.name, ...devicesOf(bus).map(({ name }) => name)],
      driver: () => DRIVERS,
      bound: ({ driver }) => boundTo(bus, driver),
    },
    files: {
      drivers_autoprobe: { show: () => "1\n", store: () => {} },
      drivers_probe: { store: (_params, text) => bind(bus, deviceNamed(bus, text)) },
      uevent: { store: () => {} },
      "drivers/{driver}/bind": { store: (params, text) => bind(bus, matching(bus, params, text)) },
      "drivers/{driver}/unbind": {
        store: (params, text) => unbind(bus, matching(bus, params, text), params),
      },
      "drivers/{driver}/uevent": { store: () => {} },
    },
    links: {
      "devices/{device}": ({ device }) => `../../..${pathOf(bus, device)}`,
      "drivers/{driver}/{bound}": ({ bound }) => `../../../..${pathOf(bus, bound)}`,
    },
  };
}

function classTable(bus: NvdimmBus): AttributeTable {
  return {
    root: "/sys/class/nd",
    links: { [`ndctl${bus.id}`]: () => `../..${bus.path}/nd/ndctl${bus.id}` },
  };
}

function nodeTable(bus: NvdimmBus): AttributeTable {
  return {
    root: "/dev",
    files: {
      [bus.name.replace("ndbus", "ndctl")]: { mode: 0o600, device: { major: BUS_MAJOR, minor: bus.id } },
      ...Object.fromEntries(
        bus.dimms.map(({ name, id }) => [name, { mode: 0o600, device: { major: DIMM_MAJOR, minor: id } }]),
      ),
    },
  };
}

function devicesOf(bus: NvdimmBus): NdDevice[] {
  return [...bus.dimms, ...bus.regions, ...bus.namespaces(), ...bus.claims()];
}

function boundTo(bus: NvdimmBus, driver: string | undefined): string[] {
  if (driver === "nd_bus") return [bus.name];
  return devicesOf(bus)
    .filter((device) => device.driver === driver)
    .map(({ name }) => name);
}

function pathOf(bus: NvdimmBus, name: string | undefined): string {
  return name === bus.name ? bus.path : (devicesOf(bus).find((device) => device.name === name)?.path ?? "");
}

function deviceNamed(bus: NvdimmBus, text: string): NdDevice {
  const name = text.trim();
  const device = devicesOf(bus).find((one) => one.name === name);
  if (!device) throw new KernelError("ENODEV", `the nd bus has no ${name}`);
  return device;
}

/** The named device. @throws KernelError ENODEV when the driver doesn't match it @see nvdimm_bus_match() */
function matching(bus: NvdimmBus, { driver }: Params, text: string): NdDevice {
  const device = deviceNamed(bus, text);
  if (driverFor(device) !== driver) throw new KernelError("ENODEV", `${driver} is not for ${device.name}`);
  return device;
}

function driverFor(device: NdDevice): NdDriverName {
  if (device instanceof Nvdimm) return "nvdimm";
  if (device instanceof Region) return "nd_region";
  return device instanceof Claim && device.kind === "dax" ? "dax_pmem" : "nd_pmem";
}

function bind(bus: NvdimmBus, device: NdDevice): Sleeps<void> {
  if (device instanceof Nvdimm) return enableDimm(bus, device);
  if (device instanceof Region) return enableRegion(device);
  return device instanceof Claim ? bindClaim(device) : bindNamespace(device as Namespace);
}

/** Unbinds a device. @throws KernelError ENODEV when the driver isn't bound to it @see unbind_store() */
function unbind(bus: NvdimmBus, device: NdDevice, { driver }: Params): Sleeps<void> {
  if (device.driver === undefined) throw new KernelError("ENODEV", `${driver} doesn't have ${device.name}`);
  if (device instanceof Nvdimm) return disableDimm(bus, device);
  if (device instanceof Region) return disableRegion(device);
  return device instanceof Claim ? unbindClaim(device) : unbindNamespace(device as Namespace);
}
