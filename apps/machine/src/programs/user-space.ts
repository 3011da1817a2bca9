// The port to the processes of a machine, for programs that start, inspect and end them. System calls of a process are
// functions of the packages of address spaces, called with the objects that this port gives.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { Process, ProcessRights, Vm } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import type { SwaponRequest } from "@hetmem/reclaim";

export interface UserSpace {
  readonly vm: Vm;
  /** The swap areas of the machine file, which stands for /etc/fstab. */
  readonly swapAreas: readonly SwaponRequest[];
  /** Pages that drivers hold pinned, by process, one entry for each pin. */
  readonly pins: Map<Process, readonly Page[]>;
  /** The running program; undefined where none runs. Processes that it starts inherit its memory policy. */
  readonly current: Process | undefined;
  /** Limits and capabilities of the running program, or of the shell where none runs. Processes that it starts inherit them. */
  readonly rights: ProcessRights;
  /**
   * Starts a program that stays until it exits or is killed.
   *
   * @param node where its cpu stands; the first one's when absent
   * @throws KernelError ENOMEM, EINVAL for a node that isn't online
   */
  start(name: string, node?: NodeId): Sleeps<Process>;
  /**
   * Sends a signal to a process, which ends it: processes handle no signals. Signal 0 only checks that it is there.
   *
   * @throws KernelError ESRCH
   */
  kill(pid: number, signal: number): Sleeps<void>;
  /**
   * Opens a file, calls `use` with it, and closes it. Mappings that `use` made stay.
   *
   * @throws KernelError as open(2) does, ENODEV for a file without pages, and the errors of `use`
   */
  withFile<T>(path: string, use: (file: FileObject) => Sleeps<T>): Sleeps<T>;
}
