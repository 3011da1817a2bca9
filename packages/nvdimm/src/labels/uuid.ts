// 128-bit identifiers: uuids of namespaces in big-endian byte order, GUIDs of types in mixed byte order. Kernel
// counterpart: lib/uuid.c.
import { KernelError } from "@hetmem/kernel";

/** A uuid as text: lower case, with dashes. */
export type Uuid = string;

export const NULL_UUID: Uuid = "00000000-0000-0000-0000-000000000000";
const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;
/** Byte order of a GUID, as indexes into the bytes of a uuid. */
const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

/** Parses a uuid; text after its 36 characters is ignored. @throws KernelError EINVAL @see uuid_parse() */
export function parseUuid(text: string): Uuid {
  const found = SHAPE.exec(text)?.[0];
  if (found === undefined) {
    throw new KernelError(
      "EINVAL",
      `"${text.trim()}" is not a UUID: write it as 12345678-1234-1234-1234-123456789abc`,
    );
  }
  return found.toLowerCase();
}

export function uuidToBytes(uuid: Uuid): Uint8Array {
  const digits = uuid.replaceAll("-", "");
  return Uint8Array.from({ length: 16 }, (_none, at) =>
    Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16),
  );
}

export function uuidFromBytes(bytes: Uint8Array): Uuid {
  const digits = Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ].join("-");
}

/** @see guid_parse() */
export function guidToBytes(uuid: Uuid): Uint8Array {
  const bytes = uuidToBytes(uuid);
  return Uint8Array.from(GUID_ORDER, (at) => bytes[at] ?? 0);
}

export function guidFromBytes(bytes: Uint8Array): Uuid {
  return uuidFromBytes(Uint8Array.from(GUID_ORDER, (at) => bytes[at] ?? 0));
}
