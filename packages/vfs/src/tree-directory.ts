// A file system whose directories user space makes and removes at any depth, each with files of its own from the first: a
// table of patterns has no name for that. Kernel counterpart: struct kernfs_syscall_ops in include/linux/kernfs.h.
import type { Attribute } from "./attribute.ts";

/** One directory of such a file system. Its files have no parameters: the directory is what they are about. */
export interface TreeDirectory {
  fileNames(): Iterable<string>;
  directoryNames(): Iterable<string>;
  /** Undefined where there is no file of that name now. */
  file(name: string): Attribute | undefined;
  directory(name: string): TreeDirectory | undefined;
  /** The name is not taken. @throws KernelError when it can't be made @see cgroup_mkdir() in kernel/cgroup/cgroup.c */
  mkdir(name: string): void;
  /** The directory is there; its files go with it. @throws KernelError when it must stay @see cgroup_rmdir() */
  rmdir(name: string): void;
}
