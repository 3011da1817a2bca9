// Port: a driver of devices that compute on the memory of processes through the processes' own addresses. A machine has a
// list of drivers; the first one that matches a device of its specification drives it. Members with a question mark may be
// left out: the machine then refuses the request with an errno and a sentence. Kernel counterparts: struct device_driver,
// and struct file_operations of the device's file, as in lib/test_hmm.c.
import type { NodeId, Page, PhysAddr, Sleeps, VirtAddr } from "@hetmem/kernel";
import type { DevPagemap, Pagemaps } from "@hetmem/memremap";
import type { MmStruct, Vm, Vma } from "@hetmem/mm";
import type { AttributeTable } from "@hetmem/vfs";
import type { DmaLatency } from "./latency.ts";
import type { MigrationPolicy } from "./policy.ts";

/** The parts of a machine that a driver of a device works with. */
export interface GpuHost {
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
}

/** A device as firmware and bus describe it to drivers. @see struct pci_dev */
export interface GpuDescription {
  /** "gpu0": the name of its file in /dev, its line in /proc/iomem, and its folder in /sys/kernel/debug. */
  readonly name: string;
  /** "coherent" if the cpu can access the memory; releases before 5.3 call that public. */
  readonly memory: "private" | "coherent";
  /** Bytes, whole pages. */
  readonly size: number;
  /** First byte of the memory. Absent: the driver requests a region of the physical address space. */
  readonly start?: PhysAddr;
  /** The nearest node. Absent: the node of the first cpu. */
  readonly node?: NodeId;
  /** Absent: the driver's own choice. A driver that migrates on request only ignores it. */
  readonly policy?: MigrationPolicy;
  /** Simulated time of transfers, which a driver may ignore. */
  readonly latency: DmaLatency;
}

export interface GpuDriver {
  /** The name of the module, for the log. */
  readonly name: string;
  /** Whether the driver is for such a device. Atomic, and changes nothing. @see bus_type.match */
  match(device: GpuDescription): boolean;
  /**
   * Binds the driver to a device that it matches, with the device's memory plugged in. Called at boot, once for each device; a
   * driver may have several.
   *
   * @throws KernelError when the device can't work; nothing has changed then. The machine logs it and tries the next driver
   * @see device_driver.probe
   */
  probe(host: GpuHost, device: GpuDescription): Sleeps<GpuDevice>;
}

/** "dead": the device fell off the bus. */
export type DeviceState = "running" | "dead";

/** A device with its driver. */
export interface GpuDevice {
  /** Absent: running. */
  readonly state?: DeviceState;
  /** Absent for a device without memory of its own. */
  readonly memory?: GpuMemory;
  /** The policy in use. Absent: the driver migrates on request only. */
  readonly policy?: MigrationPolicy;
  /** Counters since the probe, by name. */
  readonly stats?: Readonly<Record<string, number>>;
  /** Files of /sys/kernel/debug/NAME. */
  readonly debugfs?: NonNullable<AttributeTable["files"]>;
  /**
   * Opens the device's file for a process: the device mirrors the address space until the context is closed. The machine opens one
   * context for a process, and closes it when the process ends. It opens one at a time, and holds a reference on the address space.
   *
   * @throws KernelError ENODEV when the device is lost, EBUSY when it serves no more processes
   * @see file_operations.open
   */
  open(mm: MmStruct): Sleeps<DeviceContext>;
  /** Fills a new mapping of the device's file. Absent: ENODEV. @see file_operations.mmap */
  mmap?(vma: Vma): void | Sleeps<void>;
  /**
   * Moves pages of all processes to RAM.
   *
   * @param pages the number of pages at most
   * @returns the number of pages that moved
   */
  evict?(pages: number): Sleeps<number>;
  /** Resets the engine. @returns the number of pages whose contents are lost */
  reset?(): Sleeps<number>;
  /** The device falls off the bus, for good. Atomic. @returns the number of pages whose contents are lost */
  fallOff?(): number;
  /**
   * Unbinds the driver: every context is closed, and the memory is gone.
   *
   * @throws KernelError EBUSY while a page is in use; it may be called again
   * @see device_driver.remove
   */
  remove(): Sleeps<void>;
}

/** Memory of a device. */
export interface GpuMemory {
  /** Undefined while the memory isn't plugged in. */
  readonly pagemap: DevPagemap | undefined;
  /** Pages that processes have, and pages that can be had. Bad pages are neither. */
  readonly usedPages: number;
  readonly freePages: number;
}

/**
 * The device's mirror of an address space, with the requests of its process. Several requests may run at once. While one runs, the
 * address space doesn't end, and the context isn't closed. Kernel counterpart: an open file of the device and its ioctls.
 */
export interface DeviceContext {
  /** Entries of the device's page table for the address space. Absent: the driver doesn't count them. */
  readonly mirroredPages?: number;
  /** The device reads. @throws KernelError where the process may not read, ENODEV when the device is lost */
  read(address: VirtAddr, into: Uint8Array): Sleeps<unknown>;
  /** The device writes. @throws KernelError as read(), and where the process may not write */
  write(address: VirtAddr, from: Uint8Array): Sleeps<unknown>;
  /** Adds to 32 bits atomically. Absent: ENOTTY. @returns the value before */
  atomicAdd?(address: VirtAddr, value: number): Sleeps<number>;
  /**
   * Moves pages to the device, as many as can move. Absent: ENOTTY.
   *
   * @param length bytes, a multiple of the page size
   * @returns the number of pages that moved
   * @throws KernelError EINVAL for part of a page, or where nothing is mapped
   */
  migrateTo?(address: VirtAddr, length: number): Sleeps<number>;
  /** Moves pages of the device to RAM, as many as can move. Absent: ENOTTY. @returns the number of pages that moved */
  migrateBack?(address: VirtAddr, length: number): Sleeps<number>;
  /** The access that the device would have, as a DmirrorProt byte for each page, without faults. Absent: ENOTTY */
  snapshot?(address: VirtAddr, length: number): Sleeps<Uint8Array>;
  /** The entry of the device's page table for an address, without a fault; undefined when there is none. */
  lookup(address: VirtAddr): DeviceMapping | undefined;
  /** Stops mirroring. No request runs, and none follows. Pages in device memory stay, or move to RAM. */
  close(): Sleeps<void>;
}

/** An entry of the device's page table. */
export interface DeviceMapping {
  readonly page: Page;
  /** Whether the device may write through the entry. */
  readonly write: boolean;
}
