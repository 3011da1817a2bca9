// All address spaces of files by number. A page carries the number in `mapping`, in place of the kernel's pointer;
// the lowest bit distinguishes it from the number of an anon_vma. A number is reused after its file has ended, when
// no page carries it any more. Kernel counterpart: page->mapping.
import type { Page } from "@hetmem/kernel";
import type { MemMap } from "@hetmem/page";
import type { AddressSpace } from "./address-space.ts";

/** The address spaces of all files of a machine. */
export class Mappings {
  private readonly byId: (AddressSpace | undefined)[] = [undefined];
  private readonly spare: number[] = [];

  /** Adds an address space under a free number. */
  add(make: (id: number) => AddressSpace): AddressSpace {
    const id = this.spare.pop() ?? this.byId.length;
    const mapping = make(id);
    this.byId[id] = mapping;
    return mapping;
  }

  /** Removes the address space of a deleted file, which has no pages any more. */
  remove(mapping: AddressSpace): void {
    this.byId[mapping.id] = undefined;
    this.spare.push(mapping.id);
  }

  /** The file of a page; undefined for an anonymous page and for one without an owner. @see folio_mapping() */
  of(memmap: MemMap, page: Page): AddressSpace | undefined {
    const word = memmap.mapping(memmap.compoundHead(page));
    return (word & 1) === 1 ? undefined : this.byId[word >> 1];
  }

  *[Symbol.iterator](): Generator<AddressSpace, void, void> {
    for (const mapping of this.byId) if (mapping) yield mapping;
  }
}
