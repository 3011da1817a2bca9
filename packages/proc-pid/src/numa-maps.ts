// /proc/PID/numa_maps: the memory policy of each mapping of a process, the nodes of its pages, and counters of the
// pages by state.
// Kernel counterpart: show_numa_map() in fs/proc/task_mmu.c.
import { condResched, KiB, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { isVmHugetlbPage, type MmStruct, type Vm, type Vma, walkPageVmaSleeping } from "@hetmem/mm";
import { mpolToString, policyOf } from "@hetmem/mm/policy";
import { pageAnon, pageMapcount } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { entryPage, PMD_SIZE, Pte } from "@hetmem/page-table";
import { ZoneType } from "@hetmem/zone";
import { filePath, isHeap, isStack } from "./maps.ts";

/** Counters in pages, except mapcountMax. @see struct numa_maps */
interface NumaMaps {
  pages: number;
  anon: number;
  active: number;
  writeback: number;
  mapcountMax: number;
  dirty: number;
  swapcache: number;
  /** Pages by node. */
  readonly node: number[];
}

/** The text of the file. Empty for an address space that has ended. @see show_numa_map() */
export function* numaMapsText(mm: MmStruct): Sleeps<string> {
  yield* mm.mmapLock.downRead();
  let text = "";
  if (!mm.dead) for (const vma of mm.vmas) text += yield* numaMapLine(vma);
  mm.mmapLock.upRead();
  return text;
}

function* numaMapLine(vma: Vma): Sleeps<string> {
  const { mm, file, start } = vma;
  let line = `${start.toString(16).padStart(8, "0")} ${mpolToString(policyOf(mm, vma))}`;
  if (file) line += ` file=${filePath(file, "\n\t= ")}`;
  else if (isHeap(vma)) line += " heap";
  else if (isStack(vma)) line += " stack";
  if (isVmHugetlbPage(vma)) line += " huge";
  return `${line}${countsText(yield* gather(vma), isVmHugetlbPage(vma) ? PMD_SIZE : PAGE_SIZE)}\n`;
}

/** The counters of a line. Those that are 0 are left out. @param pageBytes bytes of a page of the mapping */
function countsText(counts: NumaMaps, pageBytes: number): string {
  const { pages, anon, dirty, mapcountMax, swapcache, active, writeback, node } = counts;
  if (pages === 0) return "";
  const words = [
    anon > 0 && `anon=${anon}`,
    dirty > 0 && `dirty=${dirty}`,
    pages !== anon && pages !== dirty && `mapped=${pages}`,
    mapcountMax > 1 && `mapmax=${mapcountMax}`,
    swapcache > 0 && `swapcache=${swapcache}`,
    active < pages && pageBytes === PAGE_SIZE && `active=${active}`,
    writeback > 0 && `writeback=${writeback}`,
    ...node.map((count, id) => count > 0 && `N${id}=${count}`),
    `kernelpagesize_kB=${pageBytes / KiB}`,
  ];
  return words.map((word) => (word === false ? "" : ` ${word}`)).join("");
}

/** Counts the pages of a mapping. @see gather_pte_stats() */
function* gather(vma: Vma): Sleeps<NumaMaps> {
  const { vm, pageTable } = vma.mm;
  const counts: NumaMaps = {
    pages: 0,
    anon: 0,
    active: 0,
    writeback: 0,
    mapcountMax: 0,
    dirty: 0,
    swapcache: 0,
    node: Array.from(vm.memory.nodes, () => 0),
  };
  yield* walkPageVmaSleeping(vma, {
    pmdEntry(pmd) {
      if ((pageTable.flags(pmd) & Pte.table) === 0)
        add(
          counts,
          vm,
          pageTable.value(pmd),
          pageTable.flags(pmd),
          isVmHugetlbPage(vma) ? 1 : PMD_SIZE / PAGE_SIZE,
        );
      return 0;
    },
    *pteRange(first, address, next) {
      const last = first + (next - address) / 4096;
      for (let entry = first; entry < last; entry++)
        add(counts, vm, pageTable.value(entry), pageTable.flags(entry), 1);
      yield condResched;
      return 0;
    },
  });
  return counts;
}

/**
 * Adds a page. Pages on nodes without memory, of devices and of the kernel aren't counted.
 *
 * @see can_gather_numa_stats(), gather_stats()
 */
function add(counts: NumaMaps, vm: Vm, value: number, flags: number, pages: number): void {
  if ((flags & (Pte.present | Pte.special)) !== Pte.present) return;
  const { memmap } = vm;
  const page = entryPage(value);
  const head = memmap.compoundHead(page);
  const node = memmap.nodeOf(page);
  const state = memmap.flags(head);
  if ((state & PageFlag.reserved) !== 0 || memmap.zoneOf(head) === ZoneType.Device) return;
  if (!vm.memory.nodes[node]?.hasMemory) return;
  const has = (flag: number): number => ((state & flag) !== 0 ? pages : 0);
  counts.pages += pages;
  counts.dirty += (flags & Pte.dirty) !== 0 ? pages : has(PageFlag.dirty);
  counts.swapcache += has(PageFlag.swapcache);
  counts.active += has(PageFlag.active | PageFlag.unevictable);
  counts.writeback += has(PageFlag.writeback);
  counts.anon += pageAnon(vm, page) ? pages : 0;
  counts.mapcountMax = Math.max(counts.mapcountMax, pageMapcount(memmap, page));
  counts.node[node] = (counts.node[node] ?? 0) + pages;
}
