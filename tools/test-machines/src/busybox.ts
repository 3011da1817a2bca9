// The process whose /proc files were captured: `cat` of busybox on a machine with two nodes. The process is built
// from its smaps capture, so that its /proc files can be compared with the captures as a whole.
import { readFileSync } from "node:fs";
import { virtAddr } from "@hetmem/kernel";
import { type Process, type Vma, VmFlag } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { fileAt, mapAt, touch, touchFile } from "./hand-mapped.ts";
import { mmOf, type VmMachine } from "./vm-machine.ts";

export type CapturedFile = "maps" | "smaps" | "smaps_rollup" | "status" | "numa_maps";

/** The captured output of `cat /proc/self/NAME`. */
export function captured(name: CapturedFile): string {
  return readFileSync(new URL(`../fixtures/busybox/${name}.txt`, import.meta.url), "utf8");
}

const VM_FLAG_LETTERS: Readonly<Record<string, number>> = {
  rd: VmFlag.READ,
  wr: VmFlag.WRITE,
  ex: VmFlag.EXEC,
  mr: VmFlag.MAYREAD,
  mw: VmFlag.MAYWRITE,
  me: VmFlag.MAYEXEC,
  gd: VmFlag.GROWSDOWN,
  pf: VmFlag.PFNMAP,
  io: VmFlag.IO,
  de: VmFlag.DONTEXPAND,
  dd: VmFlag.DONTDUMP,
  ac: VmFlag.ACCOUNT,
};

/** One mapping in smaps. Sizes are pages. */
interface CapturedMapping {
  readonly start: number;
  readonly end: number;
  readonly pgoff: number;
  readonly name: string;
  readonly flags: number;
  size(label: string): number;
}

/** Builds the process of the smaps capture. */
export function busybox(machine: VmMachine): Process {
  const process = machine.spawn("cat");
  const mm = mmOf(process);
  const file = fileAt(machine.vm, "/bin/busybox", 177);
  for (const mapping of parseSmaps(captured("smaps"))) {
    if (mapping.name === "[heap]") {
      mm.startBrk = virtAddr(mapping.start);
      mm.brk = virtAddr(mapping.end);
    } else if (mapping.name === "[stack]") {
      mm.startStack = virtAddr(mapping.end - 4096);
    } else if (mapping.name === "[vsyscall]") {
      continue;
    }
    const vma = build(machine, process, mapping, file);
    mm.totalVm += vma.pages;
  }
  return process;
}

function build(machine: VmMachine, process: Process, mapping: CapturedMapping, busyboxFile: FileObject): Vma {
  const { start, end, flags, name, pgoff } = mapping;
  const mm = mmOf(process);
  const special = name === "[vdso]" || name === "[vvar]";
  if (!name.startsWith("/") && !special) {
    const vma = mapAt(mm, start, end, { flags });
    for (let i = 0; i < mapping.size("Rss"); i++) touch(vma, start + i * 4096);
    return vma;
  }
  const file = special ? fileAt(machine.vm, name, 0) : busyboxFile;
  const ops = special ? { name: () => name } : {};
  const vma = mapAt(mm, start, end, { flags, file, pgoff, ops });
  fillFile(vma, mapping);
  // The page of the vdso belongs to the kernel, and its mapping has no file.
  if (special) vma.file = undefined;
  return vma;
}

/** Maps private copies first, then shared pages, then the rest. */
function fillFile(vma: Vma, { start, size }: CapturedMapping): void {
  const anonymous = size("Anonymous");
  const shared = size("Shared_Dirty") + size("Shared_Clean");
  const dirty = size("Private_Dirty") + size("Shared_Dirty") > 0;
  // The captured Pss: a page with a quarter of its size in Pss has three other mappers, one with half has one.
  const others = size("Shared_Clean") > 0 ? 3 : 1;
  for (let i = 0; i < size("Rss"); i++) {
    const at = start + i * 4096;
    if (i < anonymous) {
      // The loader wrote to the page before the mapping became read-only.
      const { flags } = vma;
      vma.flags |= VmFlag.WRITE;
      touch(vma, at);
      vma.flags = flags;
      continue;
    }
    touchFile(vma, at, {
      state: dirty ? PageFlag.swapbacked | PageFlag.dirty : 0,
      others: i < anonymous + shared ? others : 0,
      entry: Pte.accessed,
    });
  }
}

function* parseSmaps(text: string): Generator<CapturedMapping> {
  for (const part of text.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [, start = "", end = "", offset = "", name = ""] =
      /^(\w+)-(\w+) \S+ (\w+) \S+ \d+ +(\S*)\n/.exec(part) ?? [];
    const letters = /^VmFlags: (.*)$/m.exec(part)?.[1] ?? "";
    yield {
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      pgoff: Number.parseInt(offset, 16) / 4096,
      name,
      flags: letters
        .trim()
        .split(" ")
        .reduce((bits, word) => bits | (VM_FLAG_LETTERS[word] ?? 0), 0),
      size: (label) => Number(new RegExp(`^${label}: +(\\d+) kB$`, "m").exec(part)?.[1] ?? 0) / 4,
    };
  }
}
