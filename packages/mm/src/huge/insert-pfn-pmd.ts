// Mapping 2 MiB of a device with a huge entry, for the driver's huge_fault(). The pages belong to a pagemap: the
// mapping isn't counted on them, and is removed with the device. Kernel counterparts: vmf_insert_pfn_pmd() and
// insert_pfn_pmd() in mm/huge_memory.c.
import { bugOn, isAligned, type Pfn } from "@hetmem/kernel";
import { Pte } from "@hetmem/page-table";
import { ZoneType } from "@hetmem/zone";
import { VmFault } from "../fault/vm-fault.ts";
import { vmaPageProt } from "../vma/page-prot.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import { describeVma, type FaultContext } from "../vma/vma.ts";
import { HPAGE_PMD_NR } from "./huge-counts.ts";

/**
 * Serves a huge fault with 2 MiB of a device. Atomic. The caller has checked that they lie in the mapping.
 *
 * @param fault state of a huge fault, with the PMD entry
 * @param frame pfn of the first of 512 ZONE_DEVICE frames
 * @param written the access is a write: the entry becomes dirty and writable
 * @returns NOPAGE: the entry maps the frames, or another task has filled it
 * @see vmf_insert_pfn_pmd()
 */
export function vmfInsertPfnPmd({ vma, entry }: FaultContext, frame: Pfn, written: boolean): VmFault {
  const { pageTable, vm } = vma.mm;
  bugOn(!isAligned(frame, HPAGE_PMD_NR), `frame 0x${frame.toString(16)} is not the beginning of 2 MiB`);
  const page = vm.memmap.pfnToPage(frame);
  bugOn(
    vm.memmap.zoneOf(page) !== ZoneType.Device,
    `frame 0x${frame.toString(16)} is no device's: ${describeVma(vma)}`,
  );
  const bits = written ? Pte.dirty | Pte.softDirty | ((vma.flags & VmFlag.WRITE) !== 0 ? Pte.write : 0) : 0;
  const flags = pageTable.flags(entry);
  if (flags === 0) {
    pageTable.set(entry, page, Pte.present | Pte.huge | Pte.devmap | Pte.accessed | vmaPageProt(vma) | bits);
  } else if (written && (flags & Pte.huge) !== 0 && pageTable.value(entry) === page) {
    pageTable.setFlags(entry, flags | Pte.accessed | bits);
  }
  return VmFault.NOPAGE;
}
