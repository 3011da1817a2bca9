// Directories that user space makes and removes at any depth, each created with files in it, as cgroups are. A
// pattern has a fixed depth, so an attribute table can't describe them. Kernel counterpart: struct kernfs_syscall_ops
// in include/linux/kernfs.h.
import type { Attribute } from "./attribute.ts";

/** One such directory. The attributes of its files get no parameters: each attribute belongs to one directory. */
export interface TreeDirectory {
  fileNames(): Iterable<string>;
  directoryNames(): Iterable<string>;
  /** Undefined when the directory has no file of that name now. */
  file(name: string): Attribute | undefined;
  directory(name: string): TreeDirectory | undefined;
  /**
   * Makes a directory; the caller has checked that the name is free.
   *
   * @throws KernelError when it can't be made
   * @see cgroup_mkdir() in kernel/cgroup/cgroup.c
   */
  mkdir(name: string): void;
  /** Removes a directory that exists, with its files. @throws KernelError when it is in use @see cgroup_rmdir() */
  rmdir(name: string): void;
}
