// /dev/pmem0: reading and writing a namespace in sectors. Sectors that are known to be bad fail at once; writing to them clears
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
  /** Physical addresses of what its sectors are. */
  readonly data: Range;
  readonly sectorSize: number;
  /** Bytes that user space sees: fewer than the data where sectors are translated. */
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
  /** Who has it for himself: a file system that is mounted from it. */
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
   * @throws KernelError EIO at a bad one, ENXIO when the disk is gone, EINVAL behind its end
   */
  *read(sector: number, into: Uint8Array): Sleeps<void> {
    yield* this.#request(sector, into.length, (at, spa, length) => {
      this.#expectGood(sector + at / SECTOR_SIZE, length);
      loadBytes(this.region, spa, into.subarray(at, at + length));
    });
  }

  /** Writes whole sectors, as far as the write queue. A bad one is cleared first. @throws KernelError EIO when it can't be */
  *write(sector: number, from: Uint8Array): Sleeps<void> {
    yield* this.#request(sector, from.length, (at, spa, length) => {
      const first = sector + at / SECTOR_SIZE;
      if (this.badblocks.check(first, length / SECTOR_SIZE)) this.#clear(first, spa, length);
      storeBytes(this.region, spa, from.subarray(at, at + length));
    });
  }

  /** What a file system asks for before it says that something is safe. @see REQ_PREFLUSH, REQ_FUA */
  flush(): void {
    nvdimmFlush(this.region);
  }

  /** Learns what has become known of errors. @see pmem_revalidate_poison() */
  revalidatePoison(): void {
    populateBadblocks(this.badblocks, this.region.bus.badrange, this.data);
  }

  /** Waits for requests that are under way; others fail from now on. @see del_gendisk() */
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
