// The sysfs directory of a dax device: attributes, ranges, driver link. Kernel counterpart: dev_dax_attributes and
// dax_mapping_attributes in drivers/dax/bus.c.
import { KernelError, kstrtoull } from "@hetmem/kernel";
import type { Attribute, AttributeTable, Params } from "@hetmem/vfs";
import { devicePowerFiles } from "@hetmem/zone";
import { type DaxBus, deviceEnv, DAX_MODALIAS } from "./dax-bus.ts";
import type { DaxSubsystem, DevDax, DevDaxRange } from "./dev-dax.ts";
import { ProviderPaths } from "./provider-paths.ts";
import { regionPart } from "./region-sysfs.ts";
import { addMapping, alignDevice, resizeDevice } from "./resize.ts";

/** Maximum number of path components of a provider below /sys/devices. A persistent-memory namespace has 6. */
const DEPTH_MAX = 10;

type Part = Pick<AttributeTable, "files" | "links" | "instances">;
type DeviceOf = (params: Params) => DevDax;
/** Files by name relative to the device's directory. */
type Files = Readonly<Record<string, Attribute>>;

/** The tables of all regions of a bus and of their devices, for providers at any path depth up to 10. */
export function daxDeviceTables(bus: DaxBus): AttributeTable[] {
  return Array.from({ length: DEPTH_MAX }, (_, i) => new DeviceTable(new ProviderPaths(bus, i + 1)));
}

/** The table of one path depth. Its parts are made at the first use: most machines have providers at one or two depths. */
class DeviceTable implements AttributeTable {
  readonly root = "/sys/devices";
  readonly #paths: ProviderPaths;
  #made: Required<Part> | undefined = undefined;

  constructor(paths: ProviderPaths) {
    this.#paths = paths;
  }

  readonly isThere = (): boolean => this.#paths.any();

  get instances(): Required<Part>["instances"] {
    return this.#part.instances;
  }

  get files(): Required<Part>["files"] {
    return this.#part.files;
  }

  get links(): Required<Part>["links"] {
    return this.#part.links;
  }

  get #part(): Required<Part> {
    return (this.#made ??= tablePart(this.#paths));
  }
}

/** Regions and devices of both subsystems, at one depth. */
function tablePart(paths: ProviderPaths): Required<Part> {
  const parts: Part[] = [regionPart(paths), devicePart(paths, "bus"), devicePart(paths, "class")];
  return {
    instances: Object.assign({}, paths.instances, ...parts.map(({ instances }) => instances)),
    files: Object.assign({}, ...parts.map(({ files }) => files)),
    links: Object.assign({}, ...parts.map(({ links }) => links)),
  };
}

/** Devices of one subsystem. Class devices are in a subdirectory of the provider. */
function devicePart(paths: ProviderPaths, subsystem: DaxSubsystem): Part {
  const isBus = subsystem === "bus";
  const parameter = (kind: string): string => `${subsystem}_${kind}`;
  const directory = (kind: string): string =>
    `${paths.pattern}/${isBus ? "" : "{class}/"}{${parameter(kind)}}/`;
  const named = (wanted: (device: DevDax) => boolean) => (params: Params) =>
    (paths.find(params)?.devices ?? [])
      .filter((device) => device.subsystem === subsystem && wanted(device))
      .map(({ name }) => name);
  const deviceOf: DeviceOf = (params) => {
    const name = ["any", "fixed", "divided", "placed"].map((kind) => params[parameter(kind)]).find(Boolean);
    return paths.device(params, name ?? "");
  };
  const mappingDirectory = `${directory("any")}mapping{${parameter("mapping")}}/`;
  const root = "../".repeat(paths.depth + (isBus ? 2 : 3));
  return {
    instances: {
      class: (params) =>
        paths.find(params)?.devices.some((device) => device.subsystem === "class") ? ["dax"] : [],
      [parameter("any")]: named(() => true),
      [parameter("fixed")]: named(({ region }) => region.kind === "static"),
      [parameter("divided")]: named(({ region }) => region.kind === "dynamic"),
      [parameter("placed")]: named(({ targetNode }) => targetNode >= 0),
      [parameter("driver")]: (params) => (deviceOf(params).driver ? ["driver"] : []),
      [parameter("mapping")]: (params) =>
        deviceOf(params).ranges.flatMap(({ mapping }) => (mapping === undefined ? [] : [`${mapping}`])),
    },
    links: {
      ...(isBus && {
        [`${directory("any")}{${parameter("driver")}}`]: (params: Params) =>
          `${root}bus/dax/drivers/${deviceOf(params).driver?.name}`,
      }),
      [`${directory("any")}subsystem`]: () => `${root}${subsystem}/dax`,
    },
    files: {
      ...within(directory("any"), commonFiles(deviceOf)),
      ...within(directory("placed"), {
        target_node: { show: (params) => `${deviceOf(params).targetNode}\n` },
      }),
      ...within(directory("fixed"), fixedFiles(deviceOf)),
      ...within(directory("divided"), dividedFiles(deviceOf)),
      ...within(mappingDirectory, mappingFiles(deviceOf, parameter("mapping"))),
      ...devicePowerFiles(directory("any")),
      ...devicePowerFiles(mappingDirectory),
    },
  };
}

function commonFiles(deviceOf: DeviceOf): Files {
  return {
    dev: {
      show(params) {
        const { bus, minor } = deviceOf(params);
        return `${bus.major}:${minor}\n`;
      },
    },
    modalias: { show: () => `${DAX_MODALIAS}\n` },
    numa_node: { show: (params) => `${deviceOf(params).region.parent.numaNode}\n` },
    resource: {
      mode: 0o400,
      show(params) {
        const { ranges, region } = deviceOf(params);
        return `0x${(ranges[0]?.start ?? region.resource.start).toString(16)}\n`;
      },
    },
    uevent: {
      show: (params) =>
        Object.entries(deviceEnv(deviceOf(params)))
          .map(([key, value]) => `${key}=${value}\n`)
          .join(""),
      store: () => {},
    },
  };
}

/** Attributes of static devices, set by the provider: read-only. */
function fixedFiles(deviceOf: DeviceOf): Files {
  return {
    size: { show: (params) => `${deviceOf(params).size}\n` },
    align: { show: (params) => `${deviceOf(params).align}\n` },
  };
}

/** Attributes of dynamic devices, writable by the administrator. */
function dividedFiles(deviceOf: DeviceOf): Files {
  return {
    size: {
      show: (params) => `${deviceOf(params).size}\n`,
      *store(params, text) {
        yield* resizeDevice(deviceOf(params), kstrtoull(text));
      },
    },
    align: {
      show: (params) => `${deviceOf(params).align}\n`,
      *store(params, text) {
        yield* alignDevice(deviceOf(params), parseAlign(text));
      },
    },
    mapping: {
      *store(params, text) {
        const [start, end] = parseRange(text);
        yield* addMapping(deviceOf(params), start, end);
      },
    },
  };
}

/**
 * Files of a `mapping` directory. Physical addresses are readable by root only.
 *
 * @param parameter name of the pattern parameter with the mapping's number
 */
function mappingFiles(deviceOf: DeviceOf, parameter: string): Files {
  const range = (params: Params): DevDaxRange => {
    const device = deviceOf(params);
    device.region.checkEnabled();
    const found = device.ranges.find(({ mapping }) => `${mapping}` === params[parameter]);
    if (!found) throw new KernelError("ENXIO", `mapping${params[parameter]} of ${device.name} is gone`);
    return found;
  };
  const file = (value: (range: DevDaxRange) => number): Attribute => ({
    mode: 0o400,
    show: (params) => `${hex(value(range(params)))}\n`,
  });
  return {
    start: file(({ start }) => start),
    end: file(({ end }) => end),
    page_offset: file(({ pgoff }) => pgoff),
    uevent: { show: () => "", store: () => {} },
  };
}

/** Formats as the kernel's `%#llx`, which unlike the C library's prefixes zero with 0x too. */
function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** Parses an alignment in bytes. @throws KernelError ENXIO when the text isn't a number, as align_store() */
function parseAlign(text: string): number {
  try {
    return kstrtoull(text);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new KernelError("ENXIO", `"${text.trim()}" is not a number of bytes`);
  }
}

/** Parses two hexadecimal addresses separated by a dash. @throws KernelError EINVAL @see range_parse() */
function parseRange(text: string): readonly [start: number, end: number] {
  const parts = /^(?:0x)?([0-9a-f]+)-(?:0x)?([0-9a-f]+)\n?$/i.exec(text);
  if (!parts) throw new KernelError("EINVAL", `"${text.trim()}" is no range: write 140000000-14fffffff`);
  return [Number(`0x${parts[1]}`), Number(`0x${parts[2]}`)];
}

function within(directory: string, files: Files): Record<string, Attribute> {
  return Object.fromEntries(Object.entries(files).map(([name, file]) => [`${directory}${name}`, file]));
}
