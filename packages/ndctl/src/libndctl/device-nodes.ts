// The port to system calls on /dev/nmemN, /dev/ndctlN and /dev/pmemN that are no reads and writes of a file tree. User space
// counterpart: ndctl_cmd_submit() in ndctl/lib/libndctl.c; kernel counterpart: __nd_ioctl() in drivers/nvdimm/bus.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";

/** Physical addresses, without the end. */
export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

/** A disk that is open, in bytes from its start. Offset and length are multiples of 512. */
export interface BlockDevice {
  /** @throws KernelError EIO for a bad sector, ENXIO when the disk is gone */
  read(offset: number, length: number): Sleeps<Uint8Array>;
  /** @throws KernelError EIO for a bad sector that can't be cleared, ENXIO when the disk is gone */
  write(offset: number, bytes: Uint8Array): Sleeps<void>;
}

/**
 * Nodes are named by path. Each call throws KernelError ENOENT where there is no such node, and ENOTTY where the firmware has no
 * such command.
 */
export interface DeviceNodes {
  /** Bytes of the label area of a module. @see ND_CMD_GET_CONFIG_SIZE */
  getConfigSize(dimm: string): Sleeps<number>;
  /** @see ND_CMD_GET_CONFIG_DATA */
  getConfigData(dimm: string, offset: number, length: number): Sleeps<Uint8Array>;
  /** @throws KernelError EBUSY while a region uses the module, EACCES while it is locked @see ND_CMD_SET_CONFIG_DATA */
  setConfigData(dimm: string, offset: number, bytes: Uint8Array): Sleeps<void>;
  /** Bytes of the smallest range that can be cleared. @see ND_CMD_ARS_CAP */
  clearErrorUnit(bus: string, range: AddressRange): Sleeps<number>;
  /** @returns bytes that can be read again @see ND_CMD_CLEAR_ERROR */
  clearError(bus: string, range: AddressRange): Sleeps<number>;
  /** Makes a range unreadable. `report`: whether the firmware tells the kernel. @see NFIT_CMD_ARS_INJECT_SET */
  injectError(bus: string, range: AddressRange, report: "notify" | "silent"): Sleeps<void>;
  /** @see NFIT_CMD_ARS_INJECT_CLEAR */
  uninjectError(bus: string, range: AddressRange): Sleeps<void>;
  /** The injected parts of a range. @see NFIT_CMD_ARS_INJECT_GET */
  injectedErrors(bus: string, range: AddressRange): Sleeps<readonly AddressRange[]>;
  /** The handle of the module that an address lies on; undefined where it lies on none. @see NFIT_CMD_TRANSLATE_SPA */
  translateSpa(bus: string, address: number): Sleeps<number | undefined>;
  /** Sleeps until the bus's `scrub` file has something new to say. @see poll(2), acpi_nfit_scrub() */
  pollScrub(bus: string): Sleeps<void>;
  /** @throws KernelError EBUSY when a file system is mounted from it @see open(2) with O_EXCL */
  openExclusive(disk: string): BlockDevice;
  /** A UUID that no device has. @see uuid_generate(3) */
  newUuid(): string;
}

function absent(): never {
  throw new KernelError("ENOENT", "this machine has no persistent memory, and so no nodes of it in /dev");
}

/** The nodes of a machine without persistent memory. */
export const NO_DEVICE_NODES: DeviceNodes = {
  getConfigSize: absent,
  getConfigData: absent,
  setConfigData: absent,
  clearErrorUnit: absent,
  clearError: absent,
  injectError: absent,
  uninjectError: absent,
  injectedErrors: absent,
  translateSpa: absent,
  pollScrub: absent,
  openExclusive: absent,
  newUuid: absent,
};
