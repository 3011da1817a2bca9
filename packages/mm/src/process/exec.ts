// A program starts: an address space with the parts of its file, a heap and a stack, each touched once as its loader
// does. Kernel counterparts: load_elf_binary() in fs/binfmt_elf.c, setup_arg_pages() in fs/exec.c.
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

/** A part of a program's file that is mapped. @see Elf64_Phdr */
export interface ProgramSegment {
  readonly address: number;
  /** Bytes, whole pages. */
  readonly length: number;
  /** First byte in the file; undefined for memory that begins as zeros. */
  readonly offset: number | undefined;
  /** Prot bits. */
  readonly prot: number;
}

export interface ProgramImage {
  readonly file: FileObject;
  readonly segments: readonly ProgramSegment[];
  /** Where the heap begins, and its bytes. */
  readonly heap: { readonly start: number; readonly length: number };
  /** End of the stack, and its bytes. */
  readonly stack: { readonly end: number; readonly length: number };
}

/**
 * Starts a program as a process of its own.
 *
 * @param node where its page tables and its kernel stack come from: its parent makes them
 * @param cpuNode where its own cpu stands, and its pages come from
 * @param payer whom it is charged to until somebody says otherwise: its parent's; 0 where it has none
 * @param begins whose limits and rights it begins with: its parent's; those of process 1 when absent
 * @throws KernelError ENOMEM when there is no memory for it: nothing is left of it then
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
 * A process becomes another program: it gets a new address space, and what listens to its old one is told that it ends.
 * What it is allowed to lock, and what it had locked, is forgotten; its policy and its oom_score_adj stay.
 *
 * @throws KernelError ESRCH when it has exited, EINTR when it was killed, ENOMEM when there is no memory for the program:
 *   it is what it was then, unless its old address space had gone already, and then it has ended
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
  // From here on there is no way back.
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

/** Reads a byte of each part of the file, and writes one of what can be written, the heap and the stack. */
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
