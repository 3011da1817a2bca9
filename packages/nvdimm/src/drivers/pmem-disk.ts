// /dev/pmem0: sector reads and writes of a namespace. Reads of known bad sectors fail without a load; writes clear
// them. Kernel counterpart: struct pmem_device and pmem_submit_bio() in drivers/nvdimm/pmem.c.
import { condResched, KernelError, PAGE_SIZE, PercpuRef, type Sleeps } from "@hetmem/kernel";
import type { NvdimmMapping } from "../devices/ports.ts";
import type { Region } from "../devices/region.ts";
import { Badblocks, populateBadblocks, SECTOR_SIZE } from "../errors/badblocks.ts";
import type { Range } from "../errors/range-set.ts";
import { clearPoison, loadBytes, nvdimmFlush, storeBytes } from "./media-io.ts";

export interface PmemDiskInit {
  readonly name: string;
  readonly region: Region;
  /** Physical addresses of the data area. */
  readonly data: Range;
  readonly sectorSize: number;
  /** Size of the disk in bytes: less than the data area for a btt. */
  readonly size: number;
  readonly mapping: NvdimmMapping;
}

export class PmemDisk {
  readonly name: string;
  readonly region: Region;
  readonly data: Range;
  readonly sectorSize: number;
  readonly size: number;
  readonly badblocks = new Badblocks();
  /** Exclusive holder: a mounted file system. */
  holder: string | undefined;
  readonly #mapping: NvdimmMapping;
  readonly #usage: PercpuRef;

  constructor({ name, region, data, sectorSize, size, mapping }: PmemDiskInit) {
    this.name = name;
    this.region = region;
    this.data = data;
    this.sectorSize = sectorSize;
    this.size = size;
    this.#mapping = mapping;
    this.#usage = new PercpuRef(`${name} requests`);
    this.revalidatePoison();
  }

  /**
   * Reads whole sectors, page by page.
   *
   * @param sector first sector, of 512 bytes
   * @param into receives the bytes
   * @throws KernelError EIO for a bad sector, ENXIO when the disk is gone, EINVAL past its end or for partial sectors
   */
  *read(sector: number, into: Uint8Array): Sleeps<void> {
    yield* this.#request(sector, into.length, (at, spa, length) => {
      this.#expectGood(sector + at / SECTOR_SIZE, length);
      loadBytes(this.region, spa, into.subarray(at, at + length));
    });
  }

  /**
   * Writes whole sectors into the write queue. Bad sectors are cleared first.
   *
   * @throws KernelError as read(), EIO when a bad sector can't be cleared
   */
  *write(sector: number, from: Uint8Array): Sleeps<void> {
    yield* this.#request(sector, from.length, (at, spa, length) => {
      const first = sector + at / SECTOR_SIZE;
      if (this.badblocks.check(first, length / SECTOR_SIZE)) this.#clear(first, spa, length);
      storeBytes(this.region, spa, from.subarray(at, at + length));
    });
  }

  /** Drains the write queue, as for a flush request of a file system. @see REQ_PREFLUSH, REQ_FUA */
  flush(): void {
    nvdimmFlush(this.region);
  }

  /** Updates the list of bad sectors. @see pmem_revalidate_poison() */
  revalidatePoison(): void {
    populateBadblocks(this.badblocks, this.region.bus.badrange, this.data);
  }

  /** Removes the disk: new requests fail with ENXIO, requests in progress are waited for. @see del_gendisk() */
  *remove(): Sleeps<void> {
    this.#usage.kill();
    yield* this.#usage.waitForZero();
    nvdimmFlush(this.region);
    yield* this.#mapping.release();
  }

  *#request(
    sector: number,
    size: number,
    transfer: (at: number, spa: number, length: number) => void,
  ): Sleeps<void> {
    if (size % SECTOR_SIZE !== 0 || (sector + size / SECTOR_SIZE) * SECTOR_SIZE > this.size)
      throw new KernelError(
        "EINVAL",
        `${this.name}: sector ${sector}+${size} bytes is not inside, or not whole sectors`,
      );
    if (!this.#usage.trygetLive()) throw new KernelError("ENXIO", `${this.name} is gone`);
    try {
      for (let at = 0; at < size; at += PAGE_SIZE) {
        transfer(at, this.data.start + sector * SECTOR_SIZE + at, Math.min(PAGE_SIZE, size - at));
        yield condResched;
      }
    } finally {
      this.#usage.put();
    }
  }

  #clear(sector: number, spa: number, size: number): void {
    try {
      clearPoison(this.region.bus, this.region, spa, size);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new KernelError("EIO", `${this.name}: the errors of sector ${sector} can't be cleared`);
    }
    this.badblocks.clear(sector, size / SECTOR_SIZE);
  }

  #expectGood(sector: number, size: number): void {
    const bad = this.badblocks.check(sector, size / SECTOR_SIZE);
    if (bad)
      throw new KernelError(
        "EIO",
        `${this.name}: sector ${bad.firstBad} is bad: write to it, or clear its errors`,
      );
  }
}
