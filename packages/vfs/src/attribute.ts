// Attribute tables: a package describes its files as a table from path patterns to attributes, links and empty
// directories. show() makes the text of a file at each read; store() changes the machine at each write. The table
// stores no contents. Kernel counterparts: struct attribute and struct attribute_group in include/linux/sysfs.h,
// proc_create_single().
import type { Sleeps } from "@hetmem/kernel";
import type { TreeDirectory } from "./tree-directory.ts";

/** The value of each `{name}` of a pattern: `{ block: "32" }`. */
export type Params = Readonly<Record<string, string>>;

/** One file. @see struct device_attribute in include/linux/device.h */
export interface Attribute {
  /** Permission bits; default 0o444 where it can only be read, 0o200 with store only, 0o644 with both. */
  readonly mode?: number;
  /**
   * The device number of a file of /dev, which `ls -l` prints in place of a size. A function where a pattern has many
   * instances.
   */
  readonly device?: DeviceNumber | ((params: Params) => DeviceNumber);
  /** The whole text of the file, as the kernel formats it. */
  show?(params: Params): string | Sleeps<string>;
  /**
   * In place of show, for a file of bytes that is never read whole: up to `length` bytes from `offset` on, fewer at
   * the end. @see struct bin_attribute in include/linux/sysfs.h
   */
  readAt?(params: Params, offset: number, length: number): Uint8Array | Sleeps<Uint8Array>;
  /** Handles one write(2). The text is the whole buffer, newline included. */
  store?(params: Params, text: string): void | Sleeps<void>;
}

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/**
 * The files of one subsystem. A pattern is a path below `root` in which `{name}` stands for a value that may come and
 * go: `memory{block}/state`. Directories follow from the patterns. An optional file is a pattern too:
 * `dax{id}/{driver}`, where the instances of `driver` are `["driver"]` or none.
 */
export interface AttributeTable {
  /** Absolute: `/sys/devices/system/memory`. */
  readonly root: string;
  /**
   * Whether the table can have files below its root now; absent means always. A lazily mounted table is read only
   * once this is true.
   */
  readonly isThere?: () => boolean;
  /** For each `{name}`: the values that exist now, given those of the braces before it. */
  readonly instances?: Readonly<Record<string, (params: Params) => Iterable<string>>>;
  /** For each `{name}`: whether a value exists now, for tables where a listing of all values would be slow. */
  readonly exists?: Readonly<Record<string, (value: string, params: Params) => boolean>>;
  readonly files?: Readonly<Record<string, Attribute>>;
  /**
   * Link targets as readlink() prints them, relative to the link's directory: `memory{block}/node{node}` gives
   * `../../node/node0`.
   */
  readonly links?: Readonly<Record<string, (params: Params) => string>>;
  /** Empty directories: `memory{block}/power`. */
  readonly directories?: readonly string[];
  /** Directories below which user space makes and removes others: `{ cgroup: top }` under `/sys/fs`. */
  readonly trees?: Readonly<Record<string, TreeDirectory>>;
}

/** The permission bits of an attribute. */
export function attributeMode(attribute: Attribute): number {
  if (attribute.mode !== undefined) return attribute.mode;
  if (!isReadable(attribute)) return attribute.store ? 0o200 : 0;
  return attribute.store ? 0o644 : 0o444;
}

/** Whether an attribute has show or readAt. Permission bits are not looked at. */
export function isReadable({ show, readAt }: Attribute): boolean {
  return show !== undefined || readAt !== undefined;
}
