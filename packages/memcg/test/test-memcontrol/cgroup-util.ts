// What the kernel's test_memcontrol is written in (cgroup_util.c), over a machine with cgroups mounted at /sys/fs/cgroup,
// which are read and written through their files. A child of the test runs to its end at once; one that "doesn't exit"
// stays with what it has taken.
import { KernelError, MiB, type Sleeps } from "@hetmem/kernel";
import { exitProcess, exitToUserMode, type Process } from "@hetmem/mm";
import { fileRead, type OpenFile } from "@hetmem/page-cache";
import { mountCgroups } from "@hetmem/test-machines/files-machine";
import {
  type LimitsMachine,
  limitsMachine,
  type LimitsMachineOptions,
  touchPages,
} from "@hetmem/test-machines/limits-machine";
import { PAGE } from "@hetmem/test-machines/vm-machine";

/** What a child does. @returns its exit code */
export type Program = (process: Process, cgroup: string) => Sleeps<number>;

export interface CgroupUtil {
  readonly machine: LimitsMachine;
  /** @see cg_create() */
  create(cgroup: string): void;
  /** @see cg_destroy() */
  destroy(cgroup: string): void;
  read(cgroup: string, file: string): string;
  /** @see cg_read_long() */
  readLong(cgroup: string, file: string): number;
  /** The number behind a word of a file. @see cg_read_key_long() */
  readKeyLong(cgroup: string, file: string, key: string): number;
  /** @returns the errno; undefined: it was written */
  write(cgroup: string, file: string, text: string): string | undefined;
  /** A child moves into a cgroup, does something, and ends. @returns its exit code; -1: it was killed @see cg_run() */
  run(cgroup: string, program: Program): number;
  /** The same, and the child stays. @see cg_run_nowait() */
  runNowait(cgroup: string, program: Program): Process;
  /** A child that has moved into a cgroup and does nothing yet. */
  child(cgroup: string): Process;
  /** Those that were killed come to their end. */
  reap(): void;
}

const ROOT = "/sys/fs/cgroup";

export function cgroupUtil(options: LimitsMachineOptions = {}): CgroupUtil {
  const machine = limitsMachine({ nodes: [768 * MiB], ...options });
  const { vm, memcgs, run } = machine;
  const { vfs } = mountCgroups(machine);
  run(vfs.write(`${ROOT}/cgroup.subtree_control`, "+memory\n"));
  const util: CgroupUtil = {
    machine,
    create: (cgroup) => vfs.mkdir(`${ROOT}/${cgroup}`),
    destroy: (cgroup) => vfs.rmdir(`${ROOT}/${cgroup}`),
    read: (cgroup, file) => run(vfs.read(`${ROOT}/${cgroup}/${file}`)),
    readLong: (cgroup, file) => Number(util.read(cgroup, file)),
    readKeyLong(cgroup, file, key) {
      const line = util.read(cgroup, file).match(new RegExp(`^${key} (\\d+)$`, "m"));
      return line ? Number(line[1]) : -1;
    },
    write(cgroup, file, text) {
      try {
        run(vfs.write(`${ROOT}/${cgroup}/${file}`, `${text}\n`));
        return undefined;
      } catch (error) {
        if (error instanceof KernelError) return error.errno;
        throw error;
      }
    },
    run(cgroup, program) {
      const process = util.child(cgroup);
      const code = run(program(process, cgroup));
      const killed = process.killed;
      run(exitProcess(process));
      util.reap();
      return killed ? -1 : code;
    },
    runNowait(cgroup, program) {
      const process = util.child(cgroup);
      run(program(process, cgroup));
      return process;
    },
    child(cgroup) {
      const process = machine.spawn(memcgs.root, "test_memcontrol");
      if (util.write(cgroup, "cgroup.procs", `${process.pid}`)) throw new Error(`nobody may be in ${cgroup}`);
      return process;
    },
    reap() {
      for (const process of vm.processes) if (process.killed) run(exitProcess(process));
    },
  };
  return util;
}

/** @param percent of both together @see values_close() */
export function valuesClose(a: number, b: number, percent: number): boolean {
  return Math.abs(a - b) <= ((a + b) / 100) * percent;
}

/** Touches new memory. @see alloc_anon() */
export function allocAnon({ machine }: CgroupUtil, bytes: number): Program {
  return function* (process) {
    const pages = bytes / PAGE;
    return (yield* touchPages(process, machine.map(process, pages), pages)) ? 1 : 0;
  };
}

/** Makes a file longer, and reads what is new. @see alloc_pagecache() */
export function allocPagecache(file: OpenFile, bytes: number): Program {
  return function* (process) {
    const first = file.host.size;
    file.host.size += bytes;
    for (let at = first; at < first + bytes; at += PAGE) {
      try {
        yield* fileRead(file, at, PAGE, process.mm);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        return -1;
      }
      yield* exitToUserMode(process);
      if (process.killed) return -1;
    }
    return 0;
  };
}
