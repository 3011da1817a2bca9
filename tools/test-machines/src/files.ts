// Operations for cases about files: a disk file with known contents, mappings of it, reads and writes through them.
// All run to their end at once; cases about races spawn the generators themselves.
import { run, type VirtAddr } from "@hetmem/kernel";
import { MapFlag, mmap, type Process, Prot, readUser, type Signal, type Vm, writeUser } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import { createDiskFile, fileVmOps, type Inode, OpenFile } from "@hetmem/page-cache";
import { mmOf, PAGE } from "./vm-machine.ts";

export const RW: number = Prot.READ | Prot.WRITE;

export function bytes(characters: string): Uint8Array {
  return new TextEncoder().encode(characters);
}

export function text(from: Uint8Array): string {
  return new TextDecoder().decode(from);
}

/** A file of `pages` pages, open for reading and writing. Page n begins with `page n`. */
export function diskFile(vm: Vm, pages: number, writable = true): { inode: Inode; file: OpenFile } {
  const contents = new Uint8Array(pages * PAGE);
  for (let i = 0; i < pages; i++) contents.set(bytes(`page ${i}`), i * PAGE);
  const inode = createDiskFile(vm, 100, contents);
  return { inode, file: new OpenFile(inode, { path: "/data", writable, vmOps: fileVmOps }) };
}

export function map(
  process: Process,
  file: FileObject | undefined,
  pages: number,
  flags: number,
  prot = RW,
): VirtAddr {
  const type = file ? flags : flags | MapFlag.ANONYMOUS;
  return run(mmap(mmOf(process), { length: pages * PAGE, prot, flags: type, ...(file ? { file } : {}) }));
}

export function read(process: Process, address: number, length: number): string {
  const into = new Uint8Array(length);
  const signal = run(readUser(process, address as VirtAddr, into));
  if (signal) throw new Error(`${signal.signo} ${signal.code}`);
  return text(into);
}

export function write(process: Process, address: number, what: string): void {
  const signal = run(writeUser(process, address as VirtAddr, bytes(what)));
  if (signal) throw new Error(`${signal.signo} ${signal.code}`);
}

/** The signal raised by a read of one byte. */
export function readSignal(process: Process, address: number): Signal | undefined {
  return run(readUser(process, address as VirtAddr, new Uint8Array(1)));
}
