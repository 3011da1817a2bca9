// Requests and results of gup_test as text. The kernel's file takes and returns a struct with an ioctl; ours is written
// and read.
// Kernel counterpart: struct gup_test in mm/gup_test.h.
import { KernelError, kstrtoull, type VirtAddr, virtAddr } from "@hetmem/kernel";

/** One operation on a range of a process. @see struct gup_test */
export interface GupTestRequest {
  readonly pid: number;
  readonly addr: VirtAddr;
  /** Bytes. */
  readonly size: number;
  readonly nrPagesPerCall: number;
  /** Foll bits. */
  readonly gupFlags: number;
  readonly testFlags: number;
  /** Numbers of the pages to dump, counted from 1; 0 dumps none. */
  readonly whichPages: readonly number[];
}

/** The result: the fields of the request, with the values at the end of the operation. */
export interface GupTestResult extends GupTestRequest {
  readonly operation: string;
  /** Simulated microseconds that getting the pages took, and dropping them. */
  readonly getDeltaUsec: number;
  readonly putDeltaUsec: number;
}

const MAX_PAGES_TO_DUMP = 8;
const FIELDS = [
  "pid",
  "addr",
  "size",
  "nr_pages_per_call",
  "gup_flags",
  "test_flags",
  "which_pages",
] as const;

/**
 * Parses a request, `OPERATION name=value …`.
 *
 * @throws KernelError EINVAL for an unknown, missing or garbled field, or more than 8 pages to dump
 */
export function parseRequest(text: string): readonly [operation: string, request: GupTestRequest] {
  const [operation = "", ...words] = text.trim().split(/\s+/);
  const values = new Map<string, string>();
  for (const word of words) {
    const [name = "", value] = word.split("=", 2);
    if (value === undefined || !(FIELDS as readonly string[]).includes(name))
      throw new KernelError(
        "EINVAL",
        `"${word}" is not a field: write name=value, with ${FIELDS.join(", ")}`,
      );
    values.set(name, value);
  }
  const required = (name: (typeof FIELDS)[number]): number => {
    const value = values.get(name);
    if (value === undefined) throw new KernelError("EINVAL", `${name} is missing: write ${name}=…`);
    return kstrtoull(value);
  };
  const optional = (name: (typeof FIELDS)[number], otherwise: number): number =>
    values.has(name) ? required(name) : otherwise;
  const whichPages = (values.get("which_pages") ?? "").split(",").filter(Boolean).map(kstrtoull);
  if (whichPages.length > MAX_PAGES_TO_DUMP)
    throw new KernelError("EINVAL", `${whichPages.length} pages to dump: ${MAX_PAGES_TO_DUMP} at most`);
  const request: GupTestRequest = {
    pid: required("pid"),
    addr: virtAddr(required("addr")),
    size: required("size"),
    nrPagesPerCall: optional("nr_pages_per_call", 1),
    gupFlags: optional("gup_flags", 0),
    testFlags: optional("test_flags", 0),
    whichPages,
  };
  return [operation, request];
}

/** The text of a result, one field a line. */
export function resultText(result: GupTestResult): string {
  const hex = (value: number): string => `0x${value.toString(16)}`;
  return [
    `operation: ${result.operation}`,
    `get_delta_usec: ${result.getDeltaUsec}`,
    `put_delta_usec: ${result.putDeltaUsec}`,
    `addr: ${hex(result.addr)}`,
    `size: ${hex(result.size)}`,
    `nr_pages_per_call: ${result.nrPagesPerCall}`,
    `gup_flags: ${hex(result.gupFlags)}`,
    `test_flags: ${hex(result.testFlags)}`,
    `which_pages: ${result.whichPages.join(",")}`,
    "",
  ].join("\n");
}
