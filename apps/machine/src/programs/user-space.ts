// A port: the processes of a machine as the programs see them that start, look at and end them. What is below it are the
// system calls of packages/mm.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { FileObject, Process, ProcessRights, SwaponRequest, Vm } from "@hetmem/mm";

export interface UserSpace {
  readonly vm: Vm;
  /** What /etc/fstab lists as swap. */
  readonly swapAreas: readonly SwaponRequest[];
  /** What drivers hold of processes: pages that were pinned, one for each pin. */
  readonly pins: Map<Process, readonly Page[]>;
  /** The program that asks; undefined where none runs. What it starts has its memory policy. */
  readonly current: Process | undefined;
  /** Limits and capabilities of whoever asks, the shell itself where no program runs: what is started begins with them. */
  readonly rights: ProcessRights;
  /**
   * Starts a program that stays until it exits or is killed.
   *
   * @param node where its cpu stands; the first one's when absent
   * @throws KernelError ENOMEM, EINVAL for a node that isn't online
   */
  start(name: string, node?: NodeId): Sleeps<Process>;
  /**
   * Sends a signal to a process, which ends it: none handles any. Signal 0 only asks whether it is there.
   *
   * @throws KernelError ESRCH
   */
  kill(pid: number, signal: number): Sleeps<void>;
  /**
   * Maps a file of the file system, or does with it what else `use` does. It is closed afterwards; its mappings stay.
   *
   * @throws KernelError as open(2) does, ENODEV for a file without pages, and what `use` throws
   */
  withFile<T>(path: string, use: (file: FileObject) => Sleeps<T>): Sleeps<T>;
}
