// Faults on mappings of a dax device. The offset in the device determines the frame, and an entry has the size of the
// device's alignment: a device with 2 MiB alignment has no 4 KiB entries. Faults don't sleep, so a killed device gets
// no entry afterwards. Kernel counterpart: dev_dax_huge_fault() in drivers/dax/device.c.
import { MiB, PAGE_SIZE, type Pfn, type PhysAddr, physToPfn, type Sleeps } from "@hetmem/kernel";
import { type FaultContext, FaultFlag, type Vma, VmFault } from "@hetmem/mm";
import { vmfInsertPfnPmd } from "@hetmem/mm/huge";
import { vmfInsertMixed } from "@hetmem/mm/vma";
import { PageFlag } from "@hetmem/page";
import { type DevDax, rangeSize } from "./dev-dax.ts";

const PMD_SIZE = 2 * MiB;
const PMD_PAGES = PMD_SIZE / PAGE_SIZE;

/**
 * Handles a 4 KiB fault.
 *
 * @returns SIGBUS when the device is dead, has a larger alignment and no bad memory nearby, or ends before the page;
 * HWPOISON for bad memory
 * @see __dev_dax_pte_fault()
 */
export function* daxFault(device: DevDax, fault: FaultContext): Sleeps<VmFault> {
  const { vma, pgoff, address, flags } = fault;
  if (!device.alive) return VmFault.SIGBUS;
  const frame = frameOf(device, pgoff, 1);
  if (frame === undefined) return VmFault.SIGBUS;
  if (isBad(device, vma, frame, 1)) {
    device.region.parent.poison?.machineCheck((frame * PAGE_SIZE) as PhysAddr, PAGE_SIZE);
    return VmFault.HWPOISON;
  }
  if (device.align > PAGE_SIZE && !hasBadNeighbour(device, vma, pgoff)) return VmFault.SIGBUS;
  return vmfInsertMixed(vma, address, frame, (flags & FaultFlag.WRITE) !== 0);
}

/**
 * Handles a 2 MiB fault. Devices with 1 GiB alignment use 2 MiB entries too: page tables here have no larger ones,
 * unlike the kernel's.
 *
 * @returns FALLBACK for a device with 4 KiB alignment, and around bad memory; SIGBUS when the 2 MiB exceed the
 * mapping or the device
 * @see __dev_dax_pmd_fault(), __dev_dax_pud_fault()
 */
export function* daxHugeFault(device: DevDax, fault: FaultContext): Sleeps<VmFault> {
  const { vma, address, flags } = fault;
  if (!device.alive) return VmFault.SIGBUS;
  if (device.align < PMD_SIZE) return VmFault.FALLBACK;
  const start = address - (address % PMD_SIZE);
  if (start < vma.start || start + PMD_SIZE > vma.end) return VmFault.SIGBUS;
  const pgoff = vma.pgoff + (start - vma.start) / PAGE_SIZE;
  const frame = frameOf(device, pgoff, PMD_PAGES);
  if (frame === undefined || frame % PMD_PAGES !== 0) return VmFault.SIGBUS;
  // Small entries around bad memory confine the failure to the accessed page, as a machine check does.
  if (isBad(device, vma, frame, PMD_PAGES)) return VmFault.FALLBACK;
  return vmfInsertPfnPmd(fault, frame, (flags & FaultFlag.WRITE) !== 0);
}

/**
 * The first frame of a run of pages of a device; undefined when the run isn't inside one range.
 *
 * @see dax_pgoff_to_phys()
 */
function frameOf({ ranges }: DevDax, pgoff: number, pages: number): Pfn | undefined {
  const range = ranges.findLast((candidate) => candidate.pgoff <= pgoff);
  if (!range || pgoff + pages > range.pgoff + rangeSize(range) / PAGE_SIZE) return undefined;
  return physToPfn((range.start + (pgoff - range.pgoff) * PAGE_SIZE) as PhysAddr);
}

/** The page offset of a frame in a device; undefined for a frame outside of the device. */
export function pgoffOf({ ranges }: DevDax, frame: Pfn): number | undefined {
  const address = frame * PAGE_SIZE;
  const range = ranges.find(({ start, end }) => start <= address && address <= end);
  return range && range.pgoff + (address - range.start) / PAGE_SIZE;
}

/** Whether the 2 MiB around a page hold bad memory and are therefore mapped with 4 KiB entries. */
function hasBadNeighbour(device: DevDax, vma: Vma, pgoff: number): boolean {
  const first = frameOf(device, pgoff - (pgoff % PMD_PAGES), PMD_PAGES);
  return first !== undefined && isBad(device, vma, first, PMD_PAGES);
}

/**
 * Whether the memory is bad: according to the provider's media, or to PG_hwpoison when the provider has no poison
 * list.
 */
function isBad({ region }: DevDax, { mm: { vm } }: Vma, frame: Pfn, pages: number): boolean {
  const { poison } = region.parent;
  if (poison) return !poison.isReadable((frame * PAGE_SIZE) as PhysAddr, pages * PAGE_SIZE);
  const { memmap } = vm;
  for (let i = 0; i < pages; i++)
    if (memmap.test(memmap.pfnToPage((frame + i) as Pfn), PageFlag.hwpoison)) return true;
  return false;
}
