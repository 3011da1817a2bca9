// The directories of the bus and of its modules: /sys/devices/…/ndbus0 and its nmem0. Kernel counterpart:
// nvdimm_bus_attributes in drivers/nvdimm/core.c, nvdimm_attributes in dimm_devs.c, acpi_nfit_attributes in
// drivers/acpi/nfit/core.c.
import { KernelError, kstrtoull, type Sleeps } from "@hetmem/kernel";
import type { Params } from "@hetmem/vfs";
import type { NvdimmBus } from "../devices/bus.ts";
import type { Nvdimm } from "../devices/dimm.ts";
import { scrubText, startScrub } from "../errors/scrub.ts";
import { securityText, storeSecurity } from "../security/dimm-security.ts";
import {
  BUS_MAJOR,
  deviceFiles,
  dimmOf,
  DIMM_MAJOR,
  joined,
  line,
  type TablePart,
  upFrom,
} from "./device-files.ts";

/** Commands of firmware that scrubs: ARS, clearing, translating addresses, injecting errors. @see acpi_nfit_init_dsms() */
const ARS_COMMANDS = "0x3be";

export function busFiles(bus: NvdimmBus): TablePart {
  const ndctl = `nd/ndctl${bus.id}`;
  return {
    files: {
      commands: {
        show: () => `${bus.firmware === "ars" ? "ars_cap ars_start ars_status clear_error " : ""}cmd_call \n`,
      },
      provider: line(() => bus.provider),
      uevent: { show: () => "DRIVER=nd_bus\nMODALIAS=nd:t0\n", store: () => {} },
      wait_probe: {
        *show() {
          yield* bus.waitProbeIdle();
          return "1\n";
        },
      },
      "{nfit}/dsm_mask": line(() => (bus.firmware === "ars" ? ARS_COMMANDS : "0x0")),
      "{nfit}/revision": line(() => 1),
      "{nfit}/hw_error_scrub": {
        show: () => `${Number(bus.work.scrubOnError)}\n`,
        store: (_params, text) => {
          bus.work.scrubOnError = zeroOrOne(text);
        },
      },
      "{nfit}/{scrub}": {
        show: () => `${scrubText(bus)}\n`,
        store: (_params, text) => storeScrub(bus, text),
      },
      [`${ndctl}/dev`]: line(() => `${BUS_MAJOR}:${bus.id}`),
      [`${ndctl}/uevent`]: {
        show: () => `MAJOR=${BUS_MAJOR}\nMINOR=${bus.id}\nDEVNAME=ndctl${bus.id}\n`,
        store: () => {},
      },
    },
    instances: {
      nfit: () => (bus.firmware === "none" ? [] : ["nfit"]),
      scrub: () => (bus.firmware === "ars" ? ["scrub"] : []),
    },
    links: {
      driver: () => `${upFrom(bus.path)}bus/nd/drivers/nd_bus`,
      subsystem: () => `${upFrom(bus.path)}bus/nd`,
      [`${ndctl}/device`]: () => `../../../${bus.name}`,
      [`${ndctl}/subsystem`]: () => `${upFrom(bus.path)}../../class/nd`,
    },
    directories: ["firmware"],
  };
}

export function dimmFiles(bus: NvdimmBus): TablePart {
  const at = "{dimm}/";
  const of = (params: Params): Nvdimm => dimmOf(bus, params);
  const own: TablePart = {
    files: {
      [`${at}available_slots`]: line((params) => of(params).expectData().labels.freeSlots - 1),
      [`${at}commands`]: {
        show: (params) =>
          `${of(params).media.labelArea.length > 0 ? "get_size get_data set_data " : ""}cmd_call \n`,
      },
      [`${at}dev`]: line((params) => `${DIMM_MAJOR}:${of(params).id}`),
      [`${at}flags`]: {
        show: (params) => `${of(params).labeling ? "label " : ""}${of(params).locked ? "lock " : ""}\n`,
      },
      [`${at}state`]: line((params) => (of(params).busy > 0 ? "active" : "idle")),
      [`${at}{security}`]: {
        show: (params) => `${securityText(of(params))}\n`,
        store: (params, text) => storeSecurity(bus, of(params), text),
      },
      [`${at}{frozen}`]: line((params) => Number(of(params).media.frozen)),
      ...nfitFiles(of),
    },
    instances: {
      dimm: () => bus.dimms.map(({ name }) => name),
      security: (params) => (of(params).hasSecurity ? ["security"] : []),
      frozen: (params) => (of(params).hasSecurity ? ["frozen"] : []),
      dirtyShutdown: (params) => (of(params).hasSecurity ? ["dirty_shutdown"] : []),
    },
    directories: [`${at}firmware`],
  };
  return joined([own, deviceFiles(at, "dimmDriver", of)]);
}

/** @see acpi_nfit_dimm_attributes */
function nfitFiles(of: (params: Params) => Nvdimm): NonNullable<TablePart["files"]> {
  const values: Readonly<Record<string, (dimm: Nvdimm) => string | number>> = {
    device: ({ deviceId }) => word(deviceId),
    dirty_shutdown: ({ media }) => media.dirtyShutdowns,
    dsm_mask: () => "0x70",
    family: () => 0,
    flags: () => "",
    format: () => word(0x0301),
    formats: () => 1,
    handle: ({ handle }) => `0x${handle.toString(16)}`,
    id: ({ uniqueId }) => uniqueId,
    phys_id: ({ physId }) => `0x${physId.toString(16)}`,
    rev_id: () => word(0x0100),
    serial: ({ serial }) => `0x${serial.toString(16).padStart(8, "0")}`,
    subsystem_device: () => word(0),
    subsystem_rev_id: () => word(0),
    subsystem_vendor: () => word(0),
    vendor: ({ vendor }) => word(vendor),
  };
  return Object.fromEntries(
    Object.entries(values).map(([name, show]) => {
      const file = name === "dirty_shutdown" ? "{dirtyShutdown}" : name;
      return [`{dimm}/nfit/${file}`, line((params) => show(of(params)))];
    }),
  );
}

function word(value: number): string {
  return `0x${value.toString(16).padStart(4, "0")}`;
}

function* storeScrub(bus: NvdimmBus, text: string): Sleeps<void> {
  if (kstrtoull(text) !== 1) throw new KernelError("EINVAL", "a scrub is asked for by writing 1");
  yield* startScrub(bus, "long");
}

function zeroOrOne(text: string): boolean {
  const value = kstrtoull(text);
  if (value > 1) throw new KernelError("EINVAL", "write 1 to scrub at every error, 0 not to");
  return value === 1;
}
