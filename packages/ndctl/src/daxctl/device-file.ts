// The description of a device that `daxctl create-device --input` reads, as `daxctl list -M` printed it. User space
// counterpart: parse_device_file() in daxctl/device.c of ndctl.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { ProgramContext } from "@hetmem/shell";
import { parseSize } from "@hetmem/shell/tool";

export interface DeviceFile {
  /** Number of the region. */
  readonly region: number;
  /** Bytes. */
  readonly size: number;
  readonly align: number;
  /** First and last byte of each range, in the order in which the device has them. */
  readonly mappings: readonly {
    readonly start: number;
    readonly end: number;
    readonly page_offset: number;
  }[];
}

/** @returns undefined for a file that can't be read, or lacks a part */
export function* readDeviceFile(io: ProgramContext, path: string): Sleeps<DeviceFile | undefined> {
  const parsed = parse(yield* textOf(io, path));
  if (!isRecord(parsed)) return undefined;
  const [, region] = /^dax(\d+)\.\d+/.exec(`${text(parsed["chardev"])}`) ?? [];
  const [size, align] = [numberOf(parsed["size"]), numberOf(parsed["align"])];
  const { mappings } = parsed;
  if (region === undefined || size === undefined || align === undefined || !Array.isArray(mappings))
    return undefined;
  const ranges: DeviceFile["mappings"][number][] = [];
  for (const mapping of mappings) {
    if (!isRecord(mapping)) return undefined;
    const [start, end, offset] = ["start", "end", "page_offset"].map((key) => numberOf(mapping[key]));
    if (start === undefined || end === undefined || offset === undefined) return undefined;
    ranges.push({ start, end, page_offset: offset });
  }
  ranges.sort((one, other) => one.page_offset - other.page_offset);
  return { region: Number(region), size, align, mappings: ranges };
}

function* textOf(io: ProgramContext, path: string): Sleeps<string> {
  try {
    return yield* io.vfs.read(io.path(path));
  } catch (error) {
    if (error instanceof KernelError) return "";
    throw error;
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A number, or the text of one. */
function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : parseSize(text(value));
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
