// The files of /dev that are there whatever the machine has: null, zero, full and random bytes, which come from a seed, so
// that a run can be repeated. Kernel counterpart: drivers/char/mem.c.
import { KernelError, Random } from "@hetmem/kernel";
import type { Attribute, AttributeTable } from "@hetmem/vfs";

const MAJOR = 1;

export function memoryDevices(): AttributeTable {
  const zeros = (_: unknown, __: number, length: number): Uint8Array => new Uint8Array(length);
  const swallow = (): void => {};
  return {
    root: "/dev",
    files: {
      null: device(3, () => new Uint8Array(0), swallow),
      zero: device(5, zeros, swallow),
      full: device(7, zeros, () => {
        throw new KernelError("ENOSPC", "/dev/full is always full");
      }),
      random: device(8, randomBytes(), swallow),
      urandom: device(9, randomBytes(), swallow),
    },
  };
}

function device(
  minor: number,
  readAt: NonNullable<Attribute["readAt"]>,
  store: NonNullable<Attribute["store"]>,
): Attribute {
  return { mode: 0o666, device: { major: MAJOR, minor }, readAt, store };
}

function randomBytes(): NonNullable<Attribute["readAt"]> {
  const random = new Random(0);
  return (_, __, length) => {
    const words = Uint32Array.from({ length: Math.ceil(length / 4) }, () => random.nextUint32());
    return new Uint8Array(words.buffer, 0, length);
  };
}
