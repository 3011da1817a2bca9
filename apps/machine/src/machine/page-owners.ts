// Owners of pages in use: processes, and the footprint, which stands for the memory that a captured host had in use and moves
// its own pages. Each of the two ports of the zone package asks the owner of the page.
import type { Page, Pfn, Sleeps } from "@hetmem/kernel";
import type { ProcessPoisonedPages } from "@hetmem/memory-failure";
import type { ProcessPageMigration } from "@hetmem/migrate";
import type { Vm } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { nobodyUsesPages, type PageMigration, type PoisonedPageOwner } from "@hetmem/zone";
import type { BootFootprint } from "./boot-footprint.ts";

/** Moves the footprint's pages first, which no page table maps, and then those of processes and files. */
export class PageMigrations implements PageMigration {
  readonly #footprint: BootFootprint;
  readonly #processes: ProcessPageMigration;

  constructor(footprint: BootFootprint, processes: ProcessPageMigration) {
    this.#footprint = footprint;
    this.#processes = processes;
  }

  isMovable(page: Page): boolean {
    return this.#footprint.isMovable(page) || this.#processes.isMovable(page);
  }

  *migrateRange(start: Pfn, end: Pfn): Sleeps<void> {
    yield* this.#footprint.migrateRange(start, end);
    for (const [from, to] of this.#footprint.gaps(start, end)) yield* this.#processes.migrateRange(from, to);
  }

  dissolveFreeHugePages(start: Pfn, end: Pfn): void {
    this.#processes.dissolveFreeHugePages(start, end);
  }

  /** `, used (refcount 2, mapcount 1) by process 12 (qemu)`; what no process has is the kernel's. */
  reason(page: Page): string {
    return this.#processes.reason(page) || this.#footprint.reason();
  }
}

/** Bad memory of a process or a file is handled by mm. Other bad memory has no process that could be told. */
export function poisonedPageOwner(vm: Vm, processes: ProcessPoisonedPages): PoisonedPageOwner {
  const ownerOf = (page: Page): PoisonedPageOwner => {
    const { memmap } = vm;
    const listed = memmap.test(memmap.compoundHead(page), PageFlag.lru | PageFlag.isolated);
    return listed ? processes : nobodyUsesPages;
  };
  return {
    hardOffline: (page) => ownerOf(page).hardOffline(page),
    softOffline: (page) => ownerOf(page).softOffline(page),
  };
}
