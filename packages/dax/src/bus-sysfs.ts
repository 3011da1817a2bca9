// /sys/bus/dax: the lists of devices and drivers, and the files through which an administrator binds them. Also the
// device nodes /dev/daxN.M. Kernel counterpart: drivers/base/bus.c, do_id_store() in drivers/dax/bus.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Attribute, AttributeTable, Params } from "@hetmem/vfs";
import { deviceAttach, driverAttach, driverBind, driverUnbind } from "./binding.ts";
import type { DaxBus } from "./dax-bus.ts";
import type { DaxDriver } from "./dax-driver.ts";
import type { DevDax } from "./dev-dax.ts";

/** The tables of the bus itself; daxDeviceTables() has those of the devices. */
export function daxBusTables(bus: DaxBus): AttributeTable[] {
  return [busTable(bus), classTable(bus), devTable(bus), charTable(bus)];
}

/** A name written to a file, without one trailing newline. @see sysfs_streq() */
export function nameOf(text: string): string {
  return text.replace(/\n$/, "");
}

function busTable(bus: DaxBus): AttributeTable {
  const driverOf = ({ driver }: Params): DaxDriver => {
    const found = bus.drivers.get(driver ?? "");
    if (!found) throw new KernelError("ENODEV", `there is no driver ${driver}`);
    return found;
  };
  const ofDriver = (store: (driver: DaxDriver, text: string) => void | Sleeps<void>): Attribute => ({
    store: (params, text) => store(driverOf(params), text),
  });
  return {
    root: "/sys/bus/dax",
    instances: {
      device: () => bus.devices.keys(),
      driver: () => bus.drivers.keys(),
      bound: (params) =>
        [...bus.devices.values()].filter(({ driver }) => driver === driverOf(params)).map(({ name }) => name),
    },
    directories: ["devices", "drivers"],
    links: {
      "devices/{device}": ({ device }) => `../../../${devpathOf(bus, device)}`,
      "drivers/{driver}/{bound}": ({ bound }) => `../../../../${devpathOf(bus, bound)}`,
    },
    files: {
      drivers_autoprobe: {
        show: () => `${Number(bus.autoprobe)}\n`,
        store: (_params, text) => {
          bus.autoprobe = !text.startsWith("0");
        },
      },
      drivers_probe: { store: (_params, text) => probeDevice(bus, nameOf(text)) },
      uevent: { store: () => {} },
      "drivers/{driver}/bind": ofDriver((driver, text) => driverBind(bus, driver, nameOf(text))),
      "drivers/{driver}/unbind": ofDriver((driver, text) => driverUnbind(bus, driver, nameOf(text))),
      "drivers/{driver}/new_id": ofDriver((driver, text) => addId(bus, driver, text)),
      "drivers/{driver}/remove_id": ofDriver((driver, text) => {
        bus.idsOf(driver).delete(parseId(text));
      }),
      "drivers/{driver}/uevent": { store: () => {} },
    },
  };
}

/**
 * Adds an id, and probes every free device that the driver matches now. A failing probe is no error.
 *
 * @see do_id_store()
 */
function* addId(bus: DaxBus, driver: DaxDriver, text: string): Sleeps<void> {
  const name = parseId(text);
  const ids = bus.idsOf(driver);
  if (!ids.has(name)) bus.kernel.faults.point("failslab").alloc(`the id ${name}`);
  ids.add(name);
  yield* driverAttach(bus, driver);
}

/** Parses a device name. @throws KernelError EINVAL for anything but daxN.M; the device need not exist */
function parseId(text: string): string {
  const name = nameOf(text);
  if (!/^dax(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)$/.test(name))
    throw new KernelError("EINVAL", `"${name}" is no name of a dax device: write dax0.0`);
  return name;
}

/** @see drivers_probe_store() */
function* probeDevice(bus: DaxBus, name: string): Sleeps<void> {
  const device = bus.devices.get(name);
  if (!device) throw new KernelError("ENODEV", `there is no ${name} on the dax bus`);
  yield* deviceAttach(device);
}

/** /sys/class/dax, where user space found devices before 5.1. There is no binding here. @see 730926c3b099 */
function classTable(bus: DaxBus): AttributeTable {
  return {
    root: "/sys/class",
    instances: {
      class: () => (bus.classDevices.size > 0 ? ["dax"] : []),
      device: () => bus.classDevices.keys(),
    },
    links: { "{class}/{device}": ({ device }) => `../../${bus.classDevices.get(device ?? "")?.devpath}` },
  };
}

/** @see drivers/base/devtmpfs.c */
function devTable(bus: DaxBus): AttributeTable {
  const deviceOf = ({ device }: Params): DevDax | undefined =>
    bus.devices.get(device ?? "") ?? bus.classDevices.get(device ?? "");
  return {
    root: "/dev",
    instances: { device: () => [...devices(bus)].map(({ name }) => name) },
    files: {
      "{device}": {
        mode: 0o600,
        device: (params) => ({ major: bus.major, minor: deviceOf(params)?.minor ?? 0 }),
        show: (params) => refuseRead(deviceOf(params)),
      },
    },
  };
}

/** There is no read(): only mmap(). @see dax_fops in drivers/dax/device.c */
function refuseRead(device: DevDax | undefined): never {
  if (!device?.alive)
    throw new KernelError("ENXIO", `${device?.name} is not run by device_dax: bind it to that driver first`);
  throw new KernelError("EINVAL", `${device.name} can't be read: map it`);
}

function charTable(bus: DaxBus): AttributeTable {
  const byMinor = (minor: string | undefined): DevDax | undefined =>
    [...devices(bus)].find((device) => `${device.minor}` === minor);
  return {
    root: "/sys/dev/char",
    instances: { minor: () => [...devices(bus)].map(({ minor }) => `${minor}`) },
    links: { [`${bus.major}:{minor}`]: ({ minor }) => `../../${byMinor(minor)?.devpath}` },
  };
}

function* devices(bus: DaxBus): Generator<DevDax, void, void> {
  yield* bus.devices.values();
  yield* bus.classDevices.values();
}

function devpathOf(bus: DaxBus, name: string | undefined): string {
  return bus.devices.get(name ?? "")?.devpath ?? "";
}
