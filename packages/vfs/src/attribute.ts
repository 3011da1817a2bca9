// How a package describes its files: a table from path patterns to attributes, links and empty directories. The text
// of a file is made when it is read and the machine changes when it is written; nothing is stored here.
// Kernel counterparts: struct attribute and struct attribute_group in include/linux/sysfs.h, proc_create_single().
import type { Sleeps } from "@hetmem/kernel";
import type { TreeDirectory } from "./tree-directory.ts";

/** The values that the braces of a pattern stand for: `{ block: "32" }`. */
export type Params = Readonly<Record<string, string>>;

/** One file. @see struct device_attribute in include/linux/device.h */
export interface Attribute {
  /** Permission bits; default 0o444 where it can only be read, 0o200 with store only, 0o644 with both. */
  readonly mode?: number;
  /** A file of /dev: what `ls -l` prints in place of a size. A function where the pattern stands for many. */
  readonly device?: DeviceNumber | ((params: Params) => DeviceNumber);
  /** The whole text of the file, as the kernel formats it. */
  show?(params: Params): string | Sleeps<string>;
  /**
   * In place of show, for a file of bytes that is never read whole: up to `length` of them from `offset` on, fewer at the
   * end. @see struct bin_attribute in include/linux/sysfs.h
   */
  readAt?(params: Params, offset: number, length: number): Uint8Array | Sleeps<Uint8Array>;
  /** Takes what one write(2) brought, newline included. */
  store?(params: Params, text: string): void | Sleeps<void>;
}

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/**
 * The files of one subsystem. A pattern is a path below `root` in which `{name}` stands for a value that may come and
 * go: `memory{block}/state`. Directories follow from the patterns. A file that exists only now and then is a pattern
 * too: `dax{id}/{driver}`, with instances of `driver` that are `["driver"]` or nothing.
 */
export interface AttributeTable {
  /** Absolute: `/sys/devices/system/memory`. */
  readonly root: string;
  /** Whether there can be anything of it below the root now; always when absent. A table that is mounted lazily waits for it. */
  readonly isThere?: () => boolean;
  /** For each `{name}`: the values that exist now, given those of the braces before it. */
  readonly instances?: Readonly<Record<string, (params: Params) => Iterable<string>>>;
  /** The same question for one value, where listing them all to answer it would be slow. */
  readonly exists?: Readonly<Record<string, (value: string, params: Params) => boolean>>;
  readonly files?: Readonly<Record<string, Attribute>>;
  /** What readlink() prints, relative to the link's directory: `memory{block}/node{node}` gives `../../node/node0`. */
  readonly links?: Readonly<Record<string, (params: Params) => string>>;
  /** Directories with nothing in them: `memory{block}/power`. */
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

/** Whether there is anything to read, whatever the permission bits say. */
export function isReadable({ show, readAt }: Attribute): boolean {
  return show !== undefined || readAt !== undefined;
}
