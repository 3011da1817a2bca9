// Invariants of a device, which hold after every step: device entries never allow more than the process's page table,
// and every frame is either free or in use.
import type { Invariant, Page, VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import { EntryKind, entryKind, Pte } from "@hetmem/page-table";
import { type DeviceEntry, DevicePte } from "./device-page-table.ts";
import type { Gpu } from "./gpu.ts";

export const gpuInvariants: readonly Invariant<Gpu>[] = [
  {
    name: "the device's page table says what the cpu's says",
    *check({ contexts, name }) {
      for (const { mm, table } of contexts)
        for (const entry of table.entries()) {
          const finding = compare(mm, entry);
          if (finding !== undefined)
            yield `${name} reaches page ${entry.page} at 0x${entry.address.toString(16)} of mm ${mm.id}: ${finding}`;
        }
    },
  },
  {
    name: "a frame is free or somebody's",
    *check({ memory, name, vm: { memmap } }) {
      const { pagemap } = memory;
      if (pagemap === undefined) return;
      const free = new Set(memory.freeFrames());
      if (free.size !== memory.freePages) yield `${name} has a frame on its list twice`;
      for (let frame = 0; frame < memory.pages; frame++) {
        const users = memmap.refcount(memory.pageOf(frame)) - pagemap.idleCount;
        if (memory.isBad(frame) && !memory.isUsed(frame)) {
          if (free.has(frame)) yield `${name}: frame ${frame} is bad, and would be handed out`;
          continue;
        }
        if (free.has(frame) === memory.isUsed(frame))
          yield `${name}: frame ${frame} is free and in use, or neither`;
        if (!free.has(frame) && users < 1) yield `${name}: frame ${frame} is nobody's, and not free`;
      }
    },
  },
  {
    name: "a dead device reaches nothing",
    *check({ contexts, name, state }) {
      if (state === "running") return;
      for (const { mm, table } of contexts)
        for (const { address } of table.entries())
          yield `${name} is dead, and reaches 0x${address.toString(16)} of mm ${mm.id}`;
    },
  },
];

/** The access that a device entry has and the cpu's entry lacks, as a sentence; undefined for none. */
function compare(mm: MmStruct, { address, page, flags }: DeviceEntry): string | undefined {
  const wantsWrite = (flags & DevicePte.write) !== 0;
  const [value, had] = cpuEntry(mm, address);
  const kind = entryKind(had);
  if ((flags & DevicePte.atomic) !== 0)
    return kind === EntryKind.deviceExclusiveWrite && value === page
      ? undefined
      : "it isn't the device's alone";
  if ((had & Pte.present) !== 0) {
    if (pageOf(mm, value, had) !== page) return `the cpu has page ${value}`;
    return wantsWrite && (had & Pte.write) === 0 ? "the cpu may only read it" : undefined;
  }
  if (value !== page) return "the cpu has nothing there";
  if (kind === EntryKind.devicePrivateWrite || kind === EntryKind.deviceExclusiveWrite) return undefined;
  if (kind === EntryKind.devicePrivateRead || kind === EntryKind.deviceExclusiveRead)
    return wantsWrite ? "the process may only read it" : undefined;
  return "the cpu has nothing there";
}

/** Value and flags of the cpu's entry for an address; for a huge entry, the value of the small page in it. */
function cpuEntry(mm: MmStruct, address: VirtAddr): readonly [value: number, flags: number] {
  const { pageTable } = mm;
  if (!mm.vm.addressSpaces.has(mm)) return [0, 0];
  const entry = pageTable.find(address);
  if (entry >= 0) return [pageTable.value(entry), pageTable.flags(entry)];
  const pmd = pageTable.findPmd(address);
  if (pmd < 0 || (pageTable.flags(pmd) & Pte.huge) === 0) return [0, 0];
  return [pageTable.value(pmd) + Math.floor((address % 2 ** 21) / 4096), pageTable.flags(pmd)];
}

/** The page of an entry. The zero page is mapped by pfn. */
function pageOf({ vm }: MmStruct, value: number, flags: number): Page {
  return (flags & Pte.special) !== 0 && value === vm.zeroPfn ? vm.zeroPage : (value as Page);
}
