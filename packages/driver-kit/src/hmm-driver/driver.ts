// The interface that a driver offers to the kit. It tells nothing of how the driver works inside: the kit looks at the
// process's page table, at the frames of the pagemap and at what the device reaches. Kernel counterpart: the ioctls of
// lib/test_hmm.c, which the kernel's own tests go through.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import type { DevPagemap, Pagemaps } from "@hetmem/memremap";
import type { MmStruct, Vm } from "@hetmem/mm";

/** The machine that a driver is bound to. */
export interface DriverHost {
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
  /** Pages of device memory that the driver may hand out: few, so that the device is full at times. */
  readonly pages: number;
}

export interface DriverUnderTest {
  /** For reports. */
  readonly name: string;
  /** Binds the driver to a device. Called once for each machine. */
  probe(host: DriverHost): Sleeps<BoundDriver>;
}

export interface BoundDriver {
  /** The pagemap of the device's memory; undefined while the memory isn't plugged in. */
  readonly pagemap: DevPagemap | undefined;
  /** Mirrors an address space. The kit opens one at a time. */
  open(mm: MmStruct): Sleeps<DriverMirror>;
  /** Moves pages of all processes to RAM, as many as can move. */
  evict(): Sleeps<unknown>;
  /**
   * Unbinds the driver and removes its memory. The kit closes every mirror before.
   *
   * @throws KernelError EBUSY while a page is in use; the kit then calls it again
   */
  unbind(): Sleeps<unknown>;
}

/**
 * Requests of a process, as ioctls of an open file: while a request runs, the address space doesn't end and the file isn't
 * closed. Several requests may run at once.
 */
export interface DriverMirror {
  /** The device reads. @throws KernelError where the process may not read */
  read(address: VirtAddr, into: Uint8Array): Sleeps<unknown>;
  /** The device writes. @throws KernelError where the process may not write */
  write(address: VirtAddr, from: Uint8Array): Sleeps<unknown>;
  /** The device adds to 32 bits atomically. Absent: the device has no atomic operations. */
  atomicAdd?(address: VirtAddr, value: number): Sleeps<unknown>;
  /** Moves pages of a range to the device, as many as can move. Lengths are in bytes. */
  migrateTo(address: VirtAddr, length: number): Sleeps<unknown>;
  /** Moves pages of a range to RAM, as many as can move. Absent: the kit calls BoundDriver.evict(). */
  migrateBack?(address: VirtAddr, length: number): Sleeps<unknown>;
  /** The entry of the device's page table, without a fault; undefined when there is none. */
  lookup(address: VirtAddr): DeviceView | undefined;
  close(): Sleeps<unknown>;
}

/** An entry of the device's page table: the page, and whether the device may write to it. */
export interface DeviceView {
  readonly page: Page;
  readonly write: boolean;
}
