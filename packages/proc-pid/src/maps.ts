// /proc/PID/maps: the mappings of a process, one a line, and the line that begins each of them in smaps. Kernel
// counterpart: show_map_vma() in fs/proc/task_mmu.c.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { type MmStruct, type Vma, VmFlag } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";

/** A header is filled up to this column, and a name follows one further. @see seq_setwidth(), seq_pad() */
const HEADER_WIDTH = 72;

/** The last mapping of every process: the page of old system calls, which is the kernel's and nobody counts. @see get_gate_vma() in arch/x86/entry/vsyscall */
export const GATE_LINE: string = line(
  vmaHeader(0xffff_ffff_ff60_0000n, 0xffff_ffff_ff60_1000n, VmFlag.EXEC, undefined, 0),
  "[vsyscall]",
);

/** The text of the file. @see show_map() */
export function* mapsText(mm: MmStruct): Sleeps<string> {
  yield* mm.mmapLock.downRead();
  const lines = mm.dead ? "" : [...mm.vmas].map(mapLine).join("") + GATE_LINE;
  mm.mmapLock.upRead();
  return lines;
}

/** @see show_map_vma() */
export function mapLine(vma: Vma): string {
  const { start, end, flags, file, pgoff } = vma;
  return line(vmaHeader(start, end, flags, file, file ? pgoff * 4096 : 0), mappingName(vma));
}

/** What a line calls a mapping: its file, or what it is for; undefined for anonymous memory of no known use. */
export function mappingName(vma: Vma): string | undefined {
  return vma.file ? filePath(vma.file) : vmaName(vma);
}

/** The line that stands for all mappings in smaps_rollup. */
export function rollupLine(start: VirtAddr, end: VirtAddr): string {
  return line(vmaHeader(start, end, 0, undefined, 0), "[rollup]");
}

/** Whether the mapping is, or has been, what brk() moves the end of. */
export function isHeap({ start, end, mm }: Vma): boolean {
  return start <= mm.brk && end >= mm.startBrk;
}

/** @see is_stack() */
export function isStack({ start, end, mm }: Vma): boolean {
  return start <= mm.startStack && end >= mm.startStack;
}

/** What a path looks like in a line: the characters that would end it are octal. @see seq_file_path() */
export function filePath({ path }: FileObject, escaped = "\n"): string {
  return [...path]
    .map((c) => (escaped.includes(c) ? `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}` : c))
    .join("");
}

/** Of a mapping without a file. */
function vmaName(vma: Vma): string | undefined {
  const given = vma.ops?.name?.(vma);
  if (given !== undefined) return given;
  if (isHeap(vma)) return "[heap]";
  return isStack(vma) ? "[stack]" : undefined;
}

/** Range, permissions, offset, device and inode. @see show_vma_header_prefix() */
function vmaHeader(
  start: number | bigint,
  end: number | bigint,
  flags: number,
  file: FileObject | undefined,
  offset: number,
): string {
  const may = (flag: number, letter: string): string => ((flags & flag) !== 0 ? letter : "-");
  const permissions =
    may(VmFlag.READ, "r") +
    may(VmFlag.WRITE, "w") +
    may(VmFlag.EXEC, "x") +
    ((flags & VmFlag.MAYSHARE) !== 0 ? "s" : "p");
  const { major, minor } = file?.device ?? { major: 0, minor: 0 };
  const device = `${hex(major, 2)}:${hex(minor, 2)}`;
  return `${hex(start, 8)}-${hex(end, 8)} ${permissions} ${hex(offset, 8)} ${device} ${file?.inode ?? 0} `;
}

function line(header: string, name: string | undefined): string {
  return name === undefined ? `${header}\n` : `${header.padEnd(HEADER_WIDTH)} ${name}\n`;
}

function hex(value: number | bigint, width: number): string {
  return value.toString(16).padStart(width, "0");
}
