// All address spaces of files, by the number that their pages carry in `mapping`: a page has 32 bits for it, where the
// kernel has a pointer. A number is used again when its file has ended, and by then no page carries it. Kernel
// counterpart: page->mapping.
import type { Page } from "@hetmem/kernel";
import type { MemMap } from "@hetmem/page";
import type { AddressSpace } from "./address-space.ts";

export class Mappings {
  private readonly byId: (AddressSpace | undefined)[] = [undefined];
  private readonly spare: number[] = [];

  /** Gives an address space its number. */
  add(make: (id: number) => AddressSpace): AddressSpace {
    const id = this.spare.pop() ?? this.byId.length;
    const mapping = make(id);
    this.byId[id] = mapping;
    return mapping;
  }

  /** The inode is gone, with all its pages. */
  remove(mapping: AddressSpace): void {
    this.byId[mapping.id] = undefined;
    this.spare.push(mapping.id);
  }

  /** The file that a page is of, undefined for an anonymous page and for one of nobody. @see folio_mapping() */
  of(memmap: MemMap, page: Page): AddressSpace | undefined {
    const word = memmap.mapping(memmap.compoundHead(page));
    return (word & 1) === 1 ? undefined : this.byId[word >> 1];
  }

  *[Symbol.iterator](): Generator<AddressSpace, void, void> {
    for (const mapping of this.byId) if (mapping) yield mapping;
  }
}
