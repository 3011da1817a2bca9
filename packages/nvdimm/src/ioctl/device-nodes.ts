// System calls on the device nodes of a bus in /dev: ioctl() on modules (nmem0) and on the bus (ndctl0), open() of
// disks (pmem0). Kernel counterpart: nd_ioctl() and __nd_ioctl() in drivers/nvdimm/bus.c, acpi_nfit_ctl() in
// drivers/acpi/nfit/core.c.
import { condResched, KernelError, type Sleeps } from "@hetmem/kernel";
import type { NvdimmBus } from "../devices/bus.ts";
import type { Nvdimm } from "../devices/dimm.ts";
import { clearPoison } from "../drivers/media-io.ts";
import type { PmemDisk } from "../drivers/pmem-disk.ts";
import { SECTOR_SIZE } from "../errors/badblocks.ts";
import { injectedErrors, injectError, uninjectError } from "../errors/inject-error.ts";
import type { Range } from "../errors/range-set.ts";
import { runNfitWork } from "../errors/scrub.ts";
import { CLEAR_ERROR_UNIT } from "../media/dimm-media.ts";

/** An open disk. Offsets and lengths are in bytes. */
export interface OpenDisk {
  read(offset: number, length: number): Sleeps<Uint8Array>;
  write(offset: number, bytes: Uint8Array): Sleeps<void>;
}

export class NvdimmDeviceNodes {
  readonly #bus: NvdimmBus;

  constructor(bus: NvdimmBus) {
    this.#bus = bus;
  }

  /** Size in bytes of a module's label area. @throws KernelError ENOTTY when it has none @see ND_CMD_GET_CONFIG_SIZE */
  *getConfigSize(path: string): Sleeps<number> {
    return expectLabelArea(this.#dimm(path)).length;
  }

  /**
   * Reads bytes of a label area.
   *
   * @throws KernelError ENOTTY when the module has none, EINVAL for bytes outside of it
   * @see ND_CMD_GET_CONFIG_DATA
   */
  *getConfigData(path: string, offset: number, length: number): Sleeps<Uint8Array> {
    const dimm = this.#dimm(path);
    const area = expectLabelArea(dimm);
    if (offset < 0 || offset + length > area.length)
      throw new KernelError("EINVAL", `${offset}+${length} is not inside of the label area of ${dimm.name}`);
    return area.slice(offset, offset + length);
  }

  /**
   * Writes bytes to a label area.
   *
   * @throws KernelError EBUSY while a region uses the module, ENOTTY when it has no label area, EACCES while it is
   * locked, ENXIO for bytes outside of the area
   * @see ND_CMD_SET_CONFIG_DATA, nd_cmd_clear_to_send()
   */
  *setConfigData(path: string, offset: number, bytes: Uint8Array): Sleeps<void> {
    const bus = this.#bus;
    const dimm = this.#dimm(path);
    expectLabelArea(dimm);
    yield* bus.waitProbeIdle();
    yield* bus.lockedWhile(function* () {
      if (dimm.busy > 0) throw new KernelError("EBUSY", `${dimm.name} is in use: disable its regions first`);
      yield* dimm.setConfigData(offset, bytes);
    });
  }

  /**
   * Granularity in bytes of clearing errors.
   *
   * @throws KernelError ENOTTY when the firmware can't clear
   * @see ND_CMD_ARS_CAP
   */
  *clearErrorUnit(path: string, _range: Range): Sleeps<number> {
    const bus = this.#busOf(path);
    if (bus.firmware !== "ars")
      throw new KernelError("ENOTTY", `the firmware of ${bus.name} can't clear errors`);
    return CLEAR_ERROR_UNIT;
  }

  /**
   * Clears errors in a range.
   *
   * @returns cleared bytes
   * @throws KernelError EINVAL outside of all regions, others as clearPoison()
   * @see ND_CMD_CLEAR_ERROR
   */
  *clearError(path: string, { start, end }: Range): Sleeps<number> {
    const bus = this.#busOf(path);
    const region = bus.regionAt(start);
    if (!region) throw new KernelError("EINVAL", `0x${start.toString(16)} is in no region of ${bus.name}`);
    return yield* bus.locked(() => clearPoison(bus, region, start, end - start));
  }

  /** @see NFIT_CMD_ARS_INJECT_SET */
  *injectError(path: string, range: Range, report: "notify" | "silent"): Sleeps<void> {
    yield* injectError(this.#busOf(path), range, report);
  }

  /** @see NFIT_CMD_ARS_INJECT_CLEAR */
  *uninjectError(path: string, range: Range): Sleeps<void> {
    uninjectError(this.#busOf(path), range);
  }

  /** @see NFIT_CMD_ARS_INJECT_GET */
  *injectedErrors(path: string, range: Range): Sleeps<Range[]> {
    return injectedErrors(this.#busOf(path), range);
  }

  /** The handle of the module with a physical address; undefined for none. @see NFIT_CMD_TRANSLATE_SPA */
  *translateSpa(path: string, address: number): Sleeps<number | undefined> {
    const region = this.#busOf(path).regionAt(address);
    const [extent] = region?.extents(address, 1) ?? [];
    return region?.mappings.find(({ dimm }) => dimm.media === extent?.media)?.dimm.handle;
  }

  /** Waits until the scrub in progress has ended. @see poll(2) on the bus's `scrub` file */
  *pollScrub(path: string): Sleeps<void> {
    const bus = this.#busOf(path);
    yield condResched;
    while (bus.work.pending) yield* runNfitWork(bus);
  }

  /**
   * Opens a disk exclusively.
   *
   * @throws KernelError ENOENT when there is no such disk, EBUSY when a file system is mounted from it
   * @see O_EXCL
   */
  openExclusive(path: string): OpenDisk {
    const disk = this.#disk(path);
    if (disk.holder !== undefined)
      throw new KernelError("EBUSY", `${disk.name} is in use by ${disk.holder}: unmount it first`);
    return {
      *read(offset, length) {
        const bytes = new Uint8Array(length);
        yield* disk.read(offset / SECTOR_SIZE, bytes);
        return bytes;
      },
      write: (offset, bytes) => disk.write(offset / SECTOR_SIZE, bytes),
    };
  }

  newUuid(): string {
    return this.#bus.newUuid();
  }

  #dimm(path: string): Nvdimm {
    return this.#bus.dimms.find(({ name }) => path === `/dev/${name}`) ?? noNode(path);
  }

  #busOf(path: string): NvdimmBus {
    return path === `/dev/ndctl${this.#bus.id}` ? this.#bus : noNode(path);
  }

  #disk(path: string): PmemDisk {
    for (const { disk } of [...this.#bus.namespaces(), ...this.#bus.claims()])
      if (disk && path === `/dev/${disk.name}`) return disk;
    return noNode(path);
  }
}

function noNode(path: string): never {
  throw new KernelError("ENOENT", `there is no ${path}`);
}

function expectLabelArea({ media, name }: Nvdimm): Uint8Array {
  if (media.labelArea.length === 0) throw new KernelError("ENOTTY", `${name} has no label area`);
  return media.labelArea;
}
