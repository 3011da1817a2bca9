// Checks address ranges for hotplugged memory: whole memory blocks, below the highest address that the kernel can
// map. Refusals are logged where the kernel logs them. Kernel counterparts: check_hotplug_memory_range(),
// mhp_range_allowed() in mm/memory_hotplug.c.
import { isAligned, KernelError, type KernelLog, type PhysAddr } from "@hetmem/kernel";

export class HotplugRange {
  readonly #log: KernelLog;
  readonly #blockSize: number;
  readonly #addressableEnd: number;

  /**
   * @param blockSize bytes of a memory block
   * @param addressableEnd first address that the kernel can't map, in bytes
   */
  constructor(log: KernelLog, blockSize: number, addressableEnd: number) {
    this.#log = log;
    this.#blockSize = blockSize;
    this.#addressableEnd = addressableEnd;
  }

  /** @throws KernelError EINVAL for a range that isn't whole memory blocks */
  checkBlocks(start: PhysAddr, size: number): void {
    if (this.#isWholeBlocks(start, size)) return;
    throw new KernelError(
      "EINVAL",
      `${hex(start)}+${hex(size)} is not a whole number of memory blocks of ${hex(this.#blockSize)} bytes`,
    );
  }

  /** checkBlocks() that also logs a refusal. @throws KernelError EINVAL @see check_hotplug_memory_range() */
  checkHotplug(start: PhysAddr, size: number): void {
    if (!this.#isWholeBlocks(start, size)) {
      const range = `start ${hex(start)}, size ${hex(size)}`;
      this.#log.printk(3, `Block size [${hex(this.#blockSize)}] unaligned hotplug range: ${range}`);
    }
    this.checkBlocks(start, size);
  }

  /** Whether the kernel can map a range. Logs a range that it can't map. @see mhp_range_allowed() */
  isAllowed(start: PhysAddr, size: number): boolean {
    if (start + size <= this.#addressableEnd) return true;
    const range = `[${hex(start)}-${hex(start + size)}]`;
    this.#log.printk(
      4,
      `Hotplug memory ${range} exceeds maximum addressable range [0-${hex(this.#addressableEnd - 1)}]`,
    );
    return false;
  }

  /** isAllowed() that throws. @throws KernelError E2BIG for a range that the kernel can't map */
  checkAddressable(start: PhysAddr, size: number): void {
    if (this.isAllowed(start, size)) return;
    throw new KernelError(
      "E2BIG",
      `${hex(start)}+${hex(size)} ends past ${hex(this.#addressableEnd)}, the last address that the kernel can map`,
    );
  }

  #isWholeBlocks(start: PhysAddr, size: number): boolean {
    return size > 0 && isAligned(start, this.#blockSize) && isAligned(size, this.#blockSize);
  }
}

/** Formats a number as `%#llx` does one above 0. */
function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
