// The two kinds of failure. A KernelError is an expected one: the errno that the kernel returns, and a sentence that
// the kernel doesn't give. A KernelBug stands for a WARN or BUG of the kernel: the caller broke a rule, and no code
// should catch it.
import { acrossCopies } from "./across-copies.ts";

/** The errnos in use, with their Linux numbers and the texts of strerror(). */
const ERRNOS = {
  EPERM: [1, "Operation not permitted"],
  ENOENT: [2, "No such file or directory"],
  ESRCH: [3, "No such process"],
  ENOSYS: [38, "Function not implemented"],
  EINTR: [4, "Interrupted system call"],
  EIO: [5, "Input/output error"],
  ENXIO: [6, "No such device or address"],
  E2BIG: [7, "Argument list too long"],
  ENOEXEC: [8, "Exec format error"],
  EBADF: [9, "Bad file descriptor"],
  EAGAIN: [11, "Resource temporarily unavailable"],
  ENOMEM: [12, "Cannot allocate memory"],
  EACCES: [13, "Permission denied"],
  EFAULT: [14, "Bad address"],
  EBUSY: [16, "Device or resource busy"],
  EEXIST: [17, "File exists"],
  ENODEV: [19, "No such device"],
  ENOTDIR: [20, "Not a directory"],
  EISDIR: [21, "Is a directory"],
  EINVAL: [22, "Invalid argument"],
  ENOTTY: [25, "Inappropriate ioctl for device"],
  EFBIG: [27, "File too large"],
  ENOSPC: [28, "No space left on device"],
  EROFS: [30, "Read-only file system"],
  EPIPE: [32, "Broken pipe"],
  ERANGE: [34, "Numerical result out of range"],
  ENAMETOOLONG: [36, "File name too long"],
  ENOTEMPTY: [39, "Directory not empty"],
  ELOOP: [40, "Too many levels of symbolic links"],
  EOVERFLOW: [75, "Value too large for defined data type"],
  EOPNOTSUPP: [95, "Operation not supported"],
  ENOKEY: [126, "Required key not available"],
  EHWPOISON: [133, "Memory page has hardware error"],
} as const satisfies Readonly<Record<string, readonly [number, string]>>;

export type Errno = keyof typeof ERRNOS;

/** The positive number of an errno, as in errno.h. */
export function errnoNumber(errno: Errno): number {
  return ERRNOS[errno][0];
}

/** The text of strerror() for an errno, which a shell prints when a write fails. */
export function strerror(errno: Errno): string {
  return ERRNOS[errno][1];
}

/** An expected failure of an operation. The operation has changed nothing. */
export class KernelError extends Error {
  static {
    acrossCopies(this, "KernelError");
  }

  override readonly name = "KernelError";
  readonly errno: Errno;
  /** One sentence, without the errno, that names the thing and, where there is one, the fix. */
  readonly reason: string;

  /** The message is the errno, a colon and the reason. An error that explains another one cites its `reason`. */
  constructor(errno: Errno, reason: string) {
    super(`${errno}: ${reason}`);
    this.errno = errno;
    this.reason = reason;
  }
}

/** A broken rule, on which the kernel would WARN or BUG. */
export class KernelBug extends Error {
  static {
    acrossCopies(this, "KernelBug");
  }

  override readonly name = "KernelBug";
}

/**
 * Throws a KernelBug with `message` when `broken` is true. On hot paths write `if (broken) throw new KernelBug(…)`
 * instead, so that the message isn't built.
 *
 * @see VM_BUG_ON() in include/linux/mmdebug.h
 */
export function bugOn(broken: boolean, message: string): void {
  if (broken) throw new KernelBug(message);
}
