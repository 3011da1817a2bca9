// The processes of a machine. A program that runs is one, whatever it does: page tables and a kernel stack, which nothing
// can move, and pages of its text, data, heap and stack, which can. Therefore a block that was just onlined as kernel memory
// can't go offline again while the command that asks for it runs. Kernel counterparts: kernel/fork.c, kernel/exit.c.
import { KernelError, type LockHolder, type NodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { setMempolicy } from "@hetmem/migrate";
import {
  execProgram,
  exitProcess,
  HONOURED_RLIMITS,
  Process,
  type ProcessRights,
  type ProgramImage,
  type Vm,
} from "@hetmem/mm";
import type { FileObject, MappedFile } from "@hetmem/mm/file";
import type { LoggedTask } from "@hetmem/page-cache";
import type { SwaponRequest } from "@hetmem/reclaim";
import type {
  ProcessPort,
  ProgramMempolicy,
  ResourceLimits,
  RunningProcess,
  RunningPrograms,
} from "@hetmem/shell";
import type { AttributeTable } from "@hetmem/vfs";
import type { UserSpace } from "../programs/user-space.ts";
import type { MappedFiles } from "./mapped-files.ts";
import { busyboxImage } from "./program-image.ts";

/** The shell's own. */
const FIRST_PID = 1;

export interface ProcessesOptions {
  /** Where the shell's cpu stands: it makes the page tables and the kernel stacks of what it starts. */
  readonly shellNode: NodeId;
  /** Where the cpu stands that programs run on, and their pages come from. */
  readonly programNode: NodeId;
  readonly files: MappedFiles;
  readonly swapAreas: readonly SwaponRequest[];
  /** Runs the work that devices have left when a program has ended. */
  readonly settle: () => Sleeps<void>;
  /** The payer of a program before it has begun: that of its parent, or of the shell where it has no parent. */
  readonly payer: (parent: Process | undefined) => number;
}

export class Processes implements ProcessPort, UserSpace {
  readonly vm: Vm;
  readonly swapAreas: readonly SwaponRequest[];
  readonly pins: Map<Process, readonly Page[]> = new Map();
  readonly #shellNode: NodeId;
  readonly #programNode: NodeId;
  readonly #files: MappedFiles;
  readonly #image: ProgramImage;
  readonly #settle: () => Sleeps<void>;
  readonly #payer: ProcessesOptions["payer"];
  /** Programs that run, by the task that runs them, each the parent of the next. */
  readonly #running = new Map<LockHolder, Process[]>();

  constructor(vm: Vm, { shellNode, programNode, files, swapAreas, settle, payer }: ProcessesOptions) {
    this.vm = vm;
    this.swapAreas = swapAreas;
    this.#shellNode = shellNode;
    this.#programNode = programNode;
    this.#files = files;
    this.#settle = settle;
    this.#payer = payer;
    this.#image = busyboxImage(vm);
  }

  get userSpace(): UserSpace {
    return this;
  }

  *fork(name: string): Sleeps<RunningProcess> {
    const payer = this.#payer(this.current);
    const process = yield* execProgram(
      this.vm,
      this.#shellNode,
      name,
      this.#image,
      this.#programNode,
      payer,
      this.rights,
    );
    const { current } = this.vm.kernel.lockdep;
    // The pages that a program is loaded into are allocated before: a policy holds for its later allocations.
    if (process.mm) process.mm.policy = this.current?.mm?.policy;
    this.#running.set(current, [...(this.#running.get(current) ?? []), process]);
    return {
      get deadlySignal() {
        return process.deadlySignal;
      },
      exit: () => this.#exit(current, process),
    };
  }

  *start(name: string, node: NodeId = this.#programNode): Sleeps<Process> {
    const owner = this.vm.memory.nodes[node];
    if (!owner) throw new KernelError("EINVAL", `there is no node ${node} on this machine`);
    const payer = this.#payer(this.current);
    return yield* execProgram(this.vm, node, name, this.#image, node, payer, this.rights);
  }

  *withFile<T>(path: string, use: (file: FileObject) => Sleeps<T>): Sleeps<T> {
    return yield* this.#files.withFile(path, use);
  }

  /** The path of a file, whether anybody maps it or not; undefined when it has none. */
  pathOf(inode: MappedFile): string | undefined {
    const { file } = this.#image;
    return file.mapping?.host === inode ? file.path : this.#files.pathOf(inode);
  }

  /** /proc/self: the program that reads it. Without a running program there is no reader. */
  selfTable(): AttributeTable {
    return {
      root: "/proc",
      instances: { self: () => (this.current ? ["self"] : []) },
      links: { "{self}": () => `${this.current?.pid}` },
    };
  }

  get current(): Process | undefined {
    return this.#running.get(this.vm.kernel.lockdep.current)?.at(-1);
  }

  get rights(): ProcessRights {
    return this.current ?? this.vm.processes.init;
  }

  setMempolicy(policy: ProgramMempolicy): void {
    if (this.current?.mm) setMempolicy(this.current.mm, policy);
  }

  get rlimits(): ResourceLimits {
    const { rlimits, credentials } = this.rights;
    return {
      honoured: HONOURED_RLIMITS,
      get: (name) => rlimits.get(name),
      set: (name, limit) => rlimits.set(name, limit, credentials),
    };
  }

  /** The process that runs as the log names it: where no program runs, it is the shell. */
  get currentTask(): LoggedTask {
    return this.current ?? { pid: FIRST_PID, comm: "sh" };
  }

  get running(): readonly Process[] {
    return this.#running.get(this.vm.kernel.lockdep.current) ?? [];
  }

  resume(programs: RunningPrograms): void {
    const { current } = this.vm.kernel.lockdep;
    const processes = programs.filter((program) => program instanceof Process);
    if (processes.length > 0) this.#running.set(current, processes);
    else this.#running.delete(current);
  }

  *kill(pid: number, signal: number): Sleeps<void> {
    // The first process gets no signal that it doesn't handle. @see SIGNAL_UNKILLABLE
    if (pid === FIRST_PID) return;
    const process = this.vm.processes.get(pid);
    if (signal === 0) return;
    process.end(signal);
    yield* this.reap();
  }

  *#exit(task: LockHolder, process: Process): Sleeps<void> {
    const others = (this.#running.get(task) ?? []).filter((other) => other !== process);
    if (others.length > 0) this.#running.set(task, others);
    else this.#running.delete(task);
    yield* exitProcess(process);
    yield* this.#betweenPrograms();
  }

  /** Runs between two commands: kswapd has its turn, processes with a deadly signal die, and drivers release what dead processes held. */
  *#betweenPrograms(): Sleeps<void> {
    yield* this.vm.reclaim.runKswapd();
    yield* this.#settle();
    yield* this.reap();
  }

  /** Ends processes with a deadly signal. A running program ends by itself, on its way back to user mode. */
  *reap(): Sleeps<void> {
    const { processes } = this.vm;
    const running = new Set([...this.#running.values()].flat());
    for (const process of processes)
      if (process.deadlySignal !== undefined && !running.has(process)) yield* exitProcess(process);
  }
}
