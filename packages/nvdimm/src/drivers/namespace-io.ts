// Access to a namespace's metadata before a driver is bound: the range is requested, known bad sectors are checked,
// and bytes are read and written directly. Kernel counterpart: devm_namespace_enable(), nsio_rw_bytes() in
// drivers/nvdimm/claim.c.
import { KernelBug, KernelError } from "@hetmem/kernel";
import { releaseRegion, requestRegion } from "@hetmem/resource";
import type { Namespace } from "../devices/namespace.ts";
import { Badblocks, populateBadblocks, SECTOR_SIZE } from "../errors/badblocks.ts";
import { clearPoison, loadBytes, nvdimmFlush, storeBytes } from "./media-io.ts";

/** Bytes reserved for info blocks at the start of a namespace. @see nd_info_block_reserve() */
export const INFO_BLOCK_RESERVE = 8192;

/** A namespace with its first bytes enabled for access. @see struct nd_namespace_io */
export class NamespaceIo {
  readonly namespace: Namespace;
  readonly #size: number;
  readonly #badblocks = new Badblocks();

  /**
   * Enables access.
   *
   * @param size bytes from the start of the namespace
   * @throws KernelError EBUSY when the range is reserved already
   */
  constructor(namespace: Namespace, size: number) {
    const { bus } = namespace.region;
    this.namespace = namespace;
    this.#size = size;
    requestRegion(bus.iomem, namespace.range.start, size, namespace.name);
    populateBadblocks(this.#badblocks, bus.badrange, namespace.range);
  }

  /** @see devm_namespace_disable() */
  disable(): void {
    releaseRegion(this.namespace.region.bus.iomem, this.namespace.range.start, this.#size);
  }

  /** Reads bytes. @throws KernelError EIO for a sector that is known or found to be bad */
  read(offset: number, size: number): Uint8Array {
    this.#expectInside(offset, size);
    const bad = this.#bad(offset, size);
    if (bad) throw badSectors(this.namespace.name, bad.firstBad);
    const into = new Uint8Array(size);
    loadBytes(this.namespace.region, this.namespace.range.start + offset, into);
    return into;
  }

  /** Writes bytes, and clears errors in the overwritten sectors. @throws KernelError EIO when they can't be cleared */
  write(offset: number, from: Uint8Array): void {
    this.#expectInside(offset, from.length);
    const { region, range } = this.namespace;
    if (this.#bad(offset, from.length)) this.#clear(offset, from.length);
    storeBytes(region, range.start + offset, from);
    nvdimmFlush(region);
  }

  #clear(offset: number, size: number): void {
    const { region, range } = this.namespace;
    if (offset % SECTOR_SIZE !== 0 || size % SECTOR_SIZE !== 0)
      throw badSectors(this.namespace.name, Math.floor(offset / SECTOR_SIZE));
    try {
      clearPoison(region.bus, region, range.start + offset, size);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw badSectors(this.namespace.name, Math.floor(offset / SECTOR_SIZE));
    }
    this.#badblocks.clear(offset / SECTOR_SIZE, size / SECTOR_SIZE);
  }

  #bad(offset: number, size: number): ReturnType<Badblocks["check"]> {
    const first = Math.floor(offset / SECTOR_SIZE);
    return this.#badblocks.check(first, Math.ceil((offset + size) / SECTOR_SIZE) - first);
  }

  #expectInside(offset: number, size: number): void {
    if (offset + size > this.#size)
      throw new KernelBug(`${this.namespace.name}: ${offset}+${size} is not enabled for metadata`);
  }
}

/** Runs an action with the first bytes of a namespace enabled, and disables them afterwards. */
export function withNamespaceIo<T>(namespace: Namespace, size: number, action: (io: NamespaceIo) => T): T {
  const io = new NamespaceIo(namespace, size);
  try {
    return action(io);
  } finally {
    io.disable();
  }
}

function badSectors(name: string, sector: number): KernelError {
  return new KernelError("EIO", `sector ${sector} of ${name} is bad: clear its errors first`);
}
