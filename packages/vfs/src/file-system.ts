// The mounted file systems and the differences between them that user space sees: the size that stat() reports, the
// permissions of a directory, the errors of creating a file or writing to a read-only one, and the order of
// readdir(). Kernel counterparts: fs/proc/generic.c, fs/kernfs/{dir,inode}.c, mm/shmem.c and fs/libfs.c.
import type { Errno } from "@hetmem/kernel";

export interface FileSystem {
  readonly name: "tmpfs" | "proc" | "sysfs" | "cgroup2" | "devtmpfs";
  readonly mountPoint: string;
  /** st_size of a rendered file, in bytes. */
  readonly fileSize: number;
  readonly directoryMode: number;
  /** The error of open(O_CREAT) for a new name; undefined where files can be created. */
  readonly createErrno?: Errno;
  /**
   * The error of write() to a file without store(), where root can open such a file for writing; undefined where
   * open() fails.
   */
  readonly writeErrno?: Errno;
  /**
   * The error of read() from a file without show(), where root can open such a file for reading; undefined where
   * open() fails.
   */
  readonly readErrno?: Errno;
  /** The order in which readdir() gives the names. */
  order(names: readonly string[]): string[];
}

const TMPFS: FileSystem = {
  name: "tmpfs",
  mountPoint: "/",
  fileSize: 0,
  directoryMode: 0o755,
  order: (names) => names.toReversed(),
};

const FILE_SYSTEMS: readonly FileSystem[] = [
  // lookup() of a /proc directory returns ENOENT, not a negative dentry, so even O_CREAT gets ENOENT.
  {
    name: "proc",
    mountPoint: "/proc",
    fileSize: 0,
    directoryMode: 0o555,
    createErrno: "ENOENT",
    writeErrno: "EIO",
    order: (names) => [...names].sort((a, b) => a.length - b.length || compareNames(a, b)),
  },
  {
    name: "cgroup2",
    mountPoint: "/sys/fs/cgroup",
    fileSize: 0,
    directoryMode: 0o755,
    createErrno: "EACCES",
    // cgroup2 lacks the check of sysfs that open() finds a function for the mode.
    // @see KERNFS_ROOT_EXTRA_OPEN_PERM_CHECK
    writeErrno: "EINVAL",
    readErrno: "EINVAL",
    order: byKernfsHash,
  },
  {
    name: "sysfs",
    mountPoint: "/sys",
    fileSize: 4096,
    directoryMode: 0o755,
    createErrno: "EACCES",
    order: byKernfsHash,
  },
  {
    name: "devtmpfs",
    mountPoint: "/dev",
    fileSize: 0,
    directoryMode: 0o755,
    createErrno: "EACCES",
    order: (names) => names.toReversed(),
  },
];

/** The file system that an absolute path without `..` lies in. */
export function fileSystemOf(path: string): FileSystem {
  return (
    FILE_SYSTEMS.find(({ mountPoint }) => path === mountPoint || path.startsWith(`${mountPoint}/`)) ?? TMPFS
  );
}

/** Compares bytewise, as strcmp() does: the order of `ls` and of a sorted glob in the C locale. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byKernfsHash(names: readonly string[]): string[] {
  return names
    .map((name) => ({ name, hash: kernfsNameHash(name) }))
    .sort((a, b) => a.hash - b.hash || compareNames(a.name, b.name))
    .map(({ name }) => name);
}

const GOLDEN_RATIO_64 = 0x61c8_8646_80b5_83ebn;

/**
 * The hash by which kernfs orders the names of a directory. A listing computes it once for each name, in 64-bit
 * arithmetic.
 *
 * @see kernfs_name_hash() in fs/kernfs/dir.c
 */
function kernfsNameHash(name: string): number {
  let hash = 0n;
  for (let i = 0; i < name.length; i++) {
    const byte = BigInt(name.charCodeAt(i) & 0xff);
    hash = BigInt.asUintN(64, (hash + (byte << 4n) + (byte >> 4n)) * 11n);
  }
  const folded = Number(BigInt.asUintN(64, hash * GOLDEN_RATIO_64) >> 32n) % 0x8000_0000;
  // 0 and 1 stand for "." and "..", INT_MAX for the end.
  if (folded < 2) return folded + 2;
  return folded === 0x7fff_ffff ? folded - 1 : folded;
}
