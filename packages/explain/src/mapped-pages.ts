// One pass over all page tables: the processes that map pages charged to a cgroup, in which mappings, and their swap slots
// charged to it. Shares are counted as in /proc/PID/smaps (Pss): a page that n entries map counts 1/n for each.
import type { Page } from "@hetmem/kernel";
import type { MemoryCgroups } from "@hetmem/memcg";
import { type Process, type Vma, walkPageVma } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { HPAGE_PMD_NR } from "@hetmem/mm/huge";
import { pageMapcount } from "@hetmem/mm/rmap";
import { OpenFile } from "@hetmem/page-cache";
import { EntryKind, entryKind, entryPage, holdsPage, Pte, swapDevice } from "@hetmem/page-table";
import { mappingName } from "@hetmem/proc-pid";
import type { CgroupScope } from "./scope.ts";

/** The part of one mapping, in pages. */
export interface MappingPart {
  /** "[heap]", "[anon]", a file. */
  readonly name: string;
  /** Pages that the mapping maps. */
  pages: number;
  /** The same with a page that n entries map counted as 1/n. */
  share: number;
  swap: number;
}

/** The part of one process, in pages. */
export interface ProcessPart extends Omit<MappingPart, "name"> {
  readonly pid: number;
  readonly comm: string;
  /** The cgroup of the process now; pages it mapped earlier may be charged to another. */
  readonly cgroup: string;
  readonly mappings: readonly MappingPart[];
}

export interface MappedPages {
  /** The largest share first. */
  readonly processes: readonly ProcessPart[];
  /** Paths of files by mapping, from the processes that map them. */
  readonly fileNames: ReadonlyMap<AddressSpace, string>;
}

/** Counts the pages and swap slots of a scope that processes map. */
export function countMappedPages(memcgs: MemoryCgroups, scope: CgroupScope): MappedPages {
  const { vm } = memcgs;
  const fileNames = new Map<AddressSpace, string>();
  const processes: ProcessPart[] = [];
  for (const process of vm.processes) {
    const part = partOf(memcgs, scope, process);
    for (const { file } of process.mm?.vmas ?? [])
      if (file instanceof OpenFile) fileNames.set(file.mapping, file.path);
    if (part && part.pages + part.swap > 0) processes.push(part);
  }
  return { processes: processes.sort((a, b) => b.share + b.swap - a.share - a.swap), fileNames };
}

function partOf(memcgs: MemoryCgroups, scope: CgroupScope, process: Process): ProcessPart | undefined {
  const { mm, pid, comm } = process;
  if (!mm) return undefined;
  const byName = new Map<string, MappingPart>();
  for (const vma of mm.vmas) {
    const name = mappingName(vma) ?? "[anon]";
    const part = byName.get(name) ?? { name, pages: 0, share: 0, swap: 0 };
    countVma(scope, vma, part);
    if (part.pages + part.swap > 0) byName.set(name, part);
  }
  const mappings = [...byName.values()];
  const sum = (of: "pages" | "share" | "swap"): number => mappings.reduce((all, part) => all + part[of], 0);
  return {
    pid,
    comm,
    cgroup: memcgs.ofMm(mm).path,
    pages: sum("pages"),
    share: sum("share"),
    swap: sum("swap"),
    mappings,
  };
}

function countVma(scope: CgroupScope, vma: Vma, part: MappingPart): void {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const countPage = (page: Page): void => {
    if (!scope.paysForPage(page)) return;
    const mapcount = pageMapcount(memmap, page);
    part.pages++;
    // A page under migration is mapped by no entry for the moment.
    if (mapcount > 0) part.share += 1 / mapcount;
  };
  walkPageVma(vma, {
    pmdEntry(pmd) {
      const flags = pageTable.flags(pmd);
      if ((flags & (Pte.table | Pte.special | Pte.devmap)) !== 0) return 0;
      if ((flags & Pte.present) === 0 && !holdsPage(flags)) return 0;
      const head = entryPage(pageTable.value(pmd));
      for (let i = 0; i < HPAGE_PMD_NR; i++) countPage((head + i) as Page);
      return 0;
    },
    pteRange(first, address, next) {
      const last = first + (next - address) / 4096;
      for (let entry = first; entry < last; entry++) {
        const flags = pageTable.flags(entry);
        if (flags === 0 || (flags & Pte.special) !== 0) continue;
        const value = pageTable.value(entry);
        if ((flags & Pte.present) !== 0 || holdsPage(flags)) countPage(entryPage(value));
        else if (entryKind(flags) === EntryKind.swap && scope.paysForSlot(swapDevice(flags), value))
          part.swap++;
      }
      return 0;
    },
  });
}
