// Allocation of large typed arrays, for which the host may have no memory. V8 then throws a RangeError without size
// or purpose, which is replaced by an error with both.
import { acrossCopies, GiB, MiB, TiB } from "@hetmem/kernel";

/** A kind of typed array. */
export interface ArrayKind<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): T;
}

/**
 * The host has no memory for a part of the machine. Not a KernelError: no kernel returns it, and the operation in
 * progress is not undone.
 */
export class HostMemoryError extends Error {
  static {
    acrossCopies(this, "HostMemoryError");
  }

  override readonly name = "HostMemoryError";
  /** Requested bytes. */
  readonly bytes: number;
  /** Their use: "struct pages of 64 GiB". */
  readonly use: string;

  constructor(bytes: number, use: string) {
    super(`the host has no room for the ${hostSize(bytes)} that ${use} take in hetmem`);
    this.bytes = bytes;
    this.use = use;
  }
}

/**
 * Allocates a zeroed typed array.
 *
 * @param length number of elements
 * @param use purpose for the error message, a plural
 * @throws HostMemoryError when the host has no memory for it
 */
export function hostArray<T>(kind: ArrayKind<T>, length: number, use: string): T {
  try {
    return new kind(length);
  } catch (error) {
    if (error instanceof RangeError) throw new HostMemoryError(length * kind.BYTES_PER_ELEMENT, use);
    throw error;
  }
}

/** Formats bytes: "1.6 TiB", "1.5 GiB", or whole MiB below one GiB. */
export function hostSize(bytes: number): string {
  if (bytes >= TiB) return `${Number((bytes / TiB).toFixed(1))} TiB`;
  return bytes >= GiB ? `${Number((bytes / GiB).toFixed(1))} GiB` : `${Math.ceil(bytes / MiB)} MiB`;
}
