// /proc/PID/maps: one line for each mapping of a process, with its range, permissions, file and name. smaps begins each
// of its blocks with the same line.
// Kernel counterpart: show_map_vma() in fs/proc/task_mmu.c.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { type MmStruct, type Vma, VmFlag } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";

/** Columns of the header of a line. A name follows after one more space. @see seq_setwidth(), seq_pad() */
const HEADER_WIDTH = 72;

/**
 * The last line of each process: the vsyscall page, which belongs to the kernel and isn't counted.
 *
 * @see get_gate_vma() in arch/x86/entry/vsyscall
 */
export const GATE_LINE: string = line(
  vmaHeader(0xffff_ffff_ff60_0000n, 0xffff_ffff_ff60_1000n, VmFlag.EXEC, undefined, 0),
  "[vsyscall]",
);

/** The text of the file. Empty for an address space that has ended. @see show_map() */
export function* mapsText(mm: MmStruct): Sleeps<string> {
  yield* mm.mmapLock.downRead();
  const lines = mm.dead ? "" : [...mm.vmas].map(mapLine).join("") + GATE_LINE;
  mm.mmapLock.upRead();
  return lines;
}

/** The line of one mapping. @see show_map_vma() */
export function mapLine(vma: Vma): string {
  const { start, end, flags, file, pgoff } = vma;
  return line(vmaHeader(start, end, flags, file, file ? pgoff * 4096 : 0), mappingName(vma));
}

/** The name of a mapping in its line: its file, or its use such as [heap]; undefined for other anonymous memory. */
export function mappingName(vma: Vma): string | undefined {
  return vma.file ? filePath(vma.file) : vmaName(vma);
}

/**
 * The header line of smaps_rollup.
 *
 * @param start first address of the first mapping
 * @param end address behind the last mapping
 */
export function rollupLine(start: VirtAddr, end: VirtAddr): string {
  return line(vmaHeader(start, end, 0, undefined, 0), "[rollup]");
}

/** Whether the mapping is, or was, a part of the heap, whose end brk(2) moves. @see show_map_vma() */
export function isHeap({ start, end, mm }: Vma): boolean {
  return start <= mm.brk && end >= mm.startBrk;
}

/** Whether the mapping is the stack of the process. @see is_stack() */
export function isStack({ start, end, mm }: Vma): boolean {
  return start <= mm.startStack && end >= mm.startStack;
}

/** A path in a line. Characters of `escaped` are octal, since they would end the field. @see seq_file_path() */
export function filePath({ path }: FileObject, escaped = "\n"): string {
  return [...path]
    .map((c) => (escaped.includes(c) ? `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}` : c))
    .join("");
}

/** The name of a mapping without a file. */
function vmaName(vma: Vma): string | undefined {
  const given = vma.ops?.name?.(vma);
  if (given !== undefined) return given;
  if (isHeap(vma)) return "[heap]";
  return isStack(vma) ? "[stack]" : undefined;
}

/** The header of a line: range, permissions, offset, device and inode. @see show_vma_header_prefix() */
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
