// What a driver must offer so that the kit can try it. Nothing here is about how it works inside: the kit looks at the
// process's page table, at the frames of the pagemap and at what the device reaches. Kernel counterpart: the ioctls of
// lib/test_hmm.c, which the kernel's own tests go through.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import type { DevPagemap, Pagemaps } from "@hetmem/memremap";
import type { MmStruct, Vm } from "@hetmem/mm";

/** What a driver is given to begin with. */
export interface DriverHost {
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
  /** Pages of device memory that it hands out, no more: the kit wants it to be full. */
  readonly pages: number;
}

export interface DriverUnderTest {
  /** For reports. */
  readonly name: string;
  /** Binds the driver to a device. Called once for each machine. */
  probe(host: DriverHost): Sleeps<BoundDriver>;
}

export interface BoundDriver {
  /** Its memory; undefined while that isn't plugged in. */
  readonly pagemap: DevPagemap | undefined;
  /** Mirrors an address space. The kit opens one at a time. */
  open(mm: MmStruct): Sleeps<DriverMirror>;
  /** Moves to RAM what it can, whoever's it is. */
  evict(): Sleeps<unknown>;
  /**
   * The driver goes, and its memory with it. Every mirror has been closed by then.
   *
   * @throws KernelError EBUSY while somebody uses a page; then it is asked again
   */
  unbind(): Sleeps<unknown>;
}

/**
 * What a process can ask for, as ioctls of an open file: the address space doesn't end while one runs, and the file isn't
 * closed. Several may run at once.
 */
export interface DriverMirror {
  /** The device reads. @throws KernelError where the process couldn't */
  read(address: VirtAddr, into: Uint8Array): Sleeps<unknown>;
  /** The device writes. @throws KernelError where the process couldn't */
  write(address: VirtAddr, from: Uint8Array): Sleeps<unknown>;
  /** The device adds to 32 bits. Absent: it can't. */
  atomicAdd?(address: VirtAddr, value: number): Sleeps<unknown>;
  /** Moves what it can of a range to the device. */
  migrateTo(address: VirtAddr, length: number): Sleeps<unknown>;
  /** Moves what it can of a range back. Absent: BoundDriver.evict() does that. */
  migrateBack?(address: VirtAddr, length: number): Sleeps<unknown>;
  /** What the device's page table says of a page, without a fault; undefined: nothing. */
  lookup(address: VirtAddr): DeviceView | undefined;
  close(): Sleeps<unknown>;
}

/** What a device reaches. */
export interface DeviceView {
  readonly page: Page;
  readonly write: boolean;
}
