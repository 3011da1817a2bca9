// One look at every page table: which processes map pages that a cgroup pays for, in which mappings, and what they have
// in swap at its cost.
import type { Page } from "@hetmem/kernel";
import {
  type AddressSpace,
  EntryKind,
  entryKind,
  entryPage,
  HPAGE_PMD_NR,
  holdsPage,
  mappingName,
  OpenFile,
  pageMapcount,
  type Process,
  Pte,
  swapDevice,
  type Vma,
  walkPageVma,
} from "@hetmem/mm";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import type { CgroupScope } from "./scope.ts";

/** A mapping's part, in pages. */
export interface MappingPart {
  /** "[heap]", "[anon]", a file. */
  readonly name: string;
  /** Pages that it maps. */
  pages: number;
  /** The same with a page that n entries map counted as 1/n. */
  share: number;
  swap: number;
}

/** A process's part. */
export interface ProcessPart extends Omit<MappingPart, "name"> {
  readonly pid: number;
  readonly comm: string;
  /** Where it is now, which need not be who pays for what it mapped before. */
  readonly cgroup: string;
  readonly mappings: readonly MappingPart[];
}

export interface MappedPages {
  /** The largest share first. */
  readonly processes: readonly ProcessPart[];
  /** What those who map a file call it. */
  readonly fileNames: ReadonlyMap<AddressSpace, string>;
}

/** Counts what processes map of a scope's pages. */
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
    // On its way to another place nobody maps it.
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
