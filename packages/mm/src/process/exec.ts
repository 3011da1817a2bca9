// Starting programs: an address space with the segments of the program's file, a heap and a stack, and one access to
// each, as by the program's loader. Kernel counterparts: load_elf_binary() in fs/binfmt_elf.c, setup_arg_pages() in
// fs/exec.c.
import { KernelError, type NodeId, type Sleeps, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { allocMm, type MmStruct } from "../mm-struct.ts";
import type { FileObject } from "../file/file-object.ts";
import type { Vm } from "../vm.ts";
import { brk } from "../vma/brk.ts";
import { MapFlag } from "../vma/map-flags.ts";
import { mmap } from "../vma/mmap.ts";
import { Prot } from "../vma/vm-flags.ts";
import { readUser, touchUser } from "./access.ts";
import { exitProcess, mmput } from "./exit.ts";
import { allocKernelStack } from "./kernel-stack.ts";
import type { Process, ProcessRights } from "./process.ts";

/** A segment of a program file. @see Elf64_Phdr */
export interface ProgramSegment {
  readonly address: number;
  /** Bytes, a multiple of the page size. */
  readonly length: number;
  /** Offset in the file in bytes; undefined for zero-initialised memory. */
  readonly offset: number | undefined;
  /** Prot bits. */
  readonly prot: number;
}

export interface ProgramImage {
  readonly file: FileObject;
  readonly segments: readonly ProgramSegment[];
  /** Start address and length of the heap, in bytes. */
  readonly heap: { readonly start: number; readonly length: number };
  /** End address and length of the stack, in bytes. */
  readonly stack: { readonly end: number; readonly length: number };
}

/**
 * Starts a program in a new process.
 *
 * @param node node of the page tables and the kernel stack, which the parent allocates
 * @param comm the command's name
 * @param cpuNode node of the CPU that the process runs on, and of its pages
 * @param payer memory cgroup that is charged until the process is moved, that of the parent; 0 without a parent
 * @param begins initial limits and credentials, those of the parent; absent: those of process 1
 * @throws KernelError ENOMEM when there is no memory for it, and then the process has exited again
 * @see kernel_clone(), execve(2)
 */
export function* execProgram(
  vm: Vm,
  node: NodeId,
  comm: string,
  image: ProgramImage,
  cpuNode: NodeId = node,
  payer = 0,
  begins: ProcessRights = vm.processes.init,
): Sleeps<Process> {
  const mm = allocMm(vm, node, 0, payer);
  if (!mm) throw new KernelError("ENOMEM", `no memory for the page table of ${comm}`);
  const process = vm.processes.add(comm, mm, undefined, begins);
  try {
    process.kernelStack = allocKernelStack(vm, mm, node) ?? noMemory(comm);
    mm.node = cpuNode;
    yield* mapImage(mm, image);
    yield* touchImage(process, image);
  } catch (error) {
    yield* exitProcess(process);
    throw error;
  }
  return process;
}

/**
 * Replaces the program of a process. The process gets a new address space, and the old one is torn down with its
 * notifiers. Memory locks and mlockall() end; the memory policy and oom_score_adj stay.
 *
 * @param comm name of the program, cut to 15 characters
 * @throws KernelError ESRCH when the process has exited; EINTR when it was killed; ENOMEM when there is no memory for
 *   the program. The old program goes on after an error, unless its address space was torn down already, and then the
 *   process exits
 * @see execve(2), begin_new_exec() in fs/exec.c
 */
export function* execve(process: Process, comm: string, image: ProgramImage): Sleeps<void> {
  const old = process.mm;
  if (!old) throw new KernelError("ESRCH", `process ${process.pid} has exited and can't start ${comm}`);
  const mm = allocMm(old.vm, old.node, 0, old.payer);
  if (!mm) noMemory(comm);
  try {
    mm.owner = process;
    mm.policy = old.policy;
    mm.interleavePrev = old.interleavePrev;
    yield* mapImage(mm, image);
    if (process.killed) throw new KernelError("EINTR", `process ${process.pid} was killed`);
  } catch (error) {
    yield* mmput(mm);
    throw error;
  }
  // Point of no return: errors from here on end the process. @see begin_new_exec()
  process.mm = mm;
  process.comm = comm.slice(0, 15);
  process.argv = [comm];
  yield* mmput(old);
  try {
    yield* touchImage(process, image);
  } catch (error) {
    yield* exitProcess(process);
    throw error;
  }
}

function* mapImage(mm: MmStruct, { file, segments, heap, stack }: ProgramImage): Sleeps<void> {
  for (const { address, length, offset, prot } of segments) {
    const flags = MapFlag.PRIVATE | MapFlag.FIXED | (offset === undefined ? MapFlag.ANONYMOUS : 0);
    yield* mmap(mm, { address, length, prot, flags, ...(offset !== undefined && { file, offset }) });
  }
  mm.startBrk = virtAddr(heap.start);
  mm.brk = mm.startBrk;
  yield* brk(mm, virtAddr(heap.start + heap.length));
  yield* mmap(mm, {
    address: stack.end - stack.length,
    length: stack.length,
    prot: Prot.READ | Prot.WRITE,
    flags: MapFlag.PRIVATE | MapFlag.FIXED | MapFlag.ANONYMOUS | MapFlag.GROWSDOWN,
  });
  mm.startStack = virtAddr(stack.end - 4096);
}

/** Reads a byte of each read-only segment, and writes a byte of each writable one, of the heap and of the stack. */
function* touchImage(process: Process, { segments, heap, stack }: ProgramImage): Sleeps<void> {
  for (const { address, prot } of segments)
    yield* touch(process, virtAddr(address), (prot & Prot.WRITE) !== 0);
  if (heap.length > 0) yield* touch(process, virtAddr(heap.start), true);
  yield* touch(process, virtAddr(stack.end - 1), true);
}

function* touch(process: Process, address: VirtAddr, write: boolean): Sleeps<void> {
  const signal = write
    ? yield* touchUser(process, address)
    : yield* readUser(process, address, new Uint8Array(1));
  if (signal) noMemory(process.comm);
}

function noMemory(comm: string): never {
  throw new KernelError("ENOMEM", `no memory to start ${comm}`);
}
