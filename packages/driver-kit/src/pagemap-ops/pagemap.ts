// The interface that memory with struct pages of its own offers to the kit: its pagemap, whose ops are tried, and how a page of it
// comes into use. What is absent isn't tried.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import type { DevPagemap, Pagemaps } from "@hetmem/memremap";
import type { MmStruct, Process, Vm } from "@hetmem/mm";

/** The machine that the memory is plugged into. */
export interface PagemapHost {
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
  /** Pages that the driver may hand out: few, so that its memory is full at times. */
  readonly pages: number;
  /** The address space whose pages move to the memory. */
  readonly mm: MmStruct;
}

export interface PagemapUnderTest {
  /** For reports. */
  readonly name: string;
  /** Maps the memory by memremapPages(). Called once for each machine. */
  probe(host: PagemapHost): Sleeps<PagemapOfTrial>;
}

export interface PagemapOfTrial {
  readonly pagemap: DevPagemap;
  /** Hands out a page, locked and with one user, as zoneDevicePageInit() makes it; undefined when all are in use. */
  alloc?(): Page | undefined;
  /** Moves pages of the address space to the memory, as many as can move. Lengths are in bytes. */
  migrateTo?(address: VirtAddr, length: number): Sleeps<unknown>;
  /** Maps 2 MiB of the memory into a process at an address. */
  mapInto?(process: Process, address: VirtAddr): Sleeps<unknown>;
}
