// Arrays that grow with the machine's memory: the host may have no room for them. V8 then throws a RangeError that says
// neither how much was asked for nor what for.
import { GiB, MiB, TiB } from "@hetmem/kernel";

/** A kind of typed array. */
export interface ArrayKind<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): T;
}

/**
 * The host has no room for a part of the machine. It is no KernelError: no kernel returns it, and what was under way stops
 * where it stands.
 */
export class HostMemoryError extends Error {
  override readonly name = "HostMemoryError";
  /** Bytes that were asked for. */
  readonly bytes: number;
  /** What they are for: "struct pages of 64 GiB". */
  readonly use: string;

  constructor(bytes: number, use: string) {
    super(`the host has no room for the ${hostSize(bytes)} that ${use} take in hetmem`);
    this.bytes = bytes;
    this.use = use;
  }
}

/**
 * A typed array of zeros, for `use` (a plural, for the sentence).
 *
 * @param length elements
 * @throws HostMemoryError when the host has no room for it
 */
export function hostArray<T>(kind: ArrayKind<T>, length: number, use: string): T {
  try {
    return new kind(length);
  } catch (error) {
    if (error instanceof RangeError) throw new HostMemoryError(length * kind.BYTES_PER_ELEMENT, use);
    throw error;
  }
}

/** "1.6 TiB", "1.5 GiB", or in whole MiB what is less than one GiB. */
export function hostSize(bytes: number): string {
  if (bytes >= TiB) return `${Number((bytes / TiB).toFixed(1))} TiB`;
  return bytes >= GiB ? `${Number((bytes / GiB).toFixed(1))} GiB` : `${Math.ceil(bytes / MiB)} MiB`;
}
