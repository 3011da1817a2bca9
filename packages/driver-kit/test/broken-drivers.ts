// The driver of the README with one mistake each: a step left out, or taken for needless. Every broken driver breaks one
// obligation, and no other.
import { migratePfnToPage, migrates } from "@hetmem/hmm-migrate";
import { HmmPfn } from "@hetmem/hmm-mirror";
import { KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmgetNotZero, mmput, type MmStruct, type Vma, VmFault } from "@hetmem/mm";
import { mmuIntervalSetSeq, type MmuNotifierRange } from "@hetmem/mmu-notifier";
import { NULL_PAGE } from "@hetmem/page";
import { TinyGpu } from "../examples/tiny-gpu.ts";

type Entry = { readonly page: Page; readonly flags: number };

/** Records the invalidated range, and clears it when the engine runs next: a TLB that is flushed too late. */
class InvalidatesLater extends TinyGpu {
  private readonly stale: MmuNotifierRange[] = [];

  override *invalidate(_: unknown, range: MmuNotifierRange, sequence: number): Sleeps<boolean> {
    mmuIntervalSetSeq(this.notifier, sequence);
    this.stale.push(range);
    return true;
  }

  override access(address: VirtAddr, bytes: Uint8Array, write: boolean): Sleeps<void> {
    for (const { start, end } of this.stale.splice(0))
      for (const at of this.table.keys()) if (at >= start && at < end) this.table.delete(at);
    return super.access(address, bytes, write);
  }
}

/** Takes a reference on each page of RAM that it maps. */
class HoldsReferences extends TinyGpu {
  private readonly held: Page[] = [];
  override readonly table: Map<number, Entry> = observed((_, { page }) => {
    if (this.pagemaps.pagemapOf(page) !== undefined || page === this.vm.zeroPage) return;
    this.vm.memmap.getPage(page);
    this.held.push(page);
  });

  override *unbind(): Sleeps<void> {
    for (const page of this.held.splice(0)) this.vm.pages.put(page);
    yield* super.unbind();
  }
}

/** Clears its table without setting the sequence: a fault in progress doesn't retry. */
class NeverAsksAgain extends TinyGpu {
  override *invalidate(_: unknown, { start, end }: MmuNotifierRange): Sleeps<boolean> {
    for (const at of this.table.keys()) if (at >= start && at < end) this.table.delete(at);
    return true;
  }
}

/** Fails where hmmRangeFault() answers "busy". */
class GivesUp extends TinyGpu {
  override *locked<T>(address: VirtAddr, body: (vma: Vma) => Sleeps<T>): Sleeps<T> {
    const result = yield* super.locked(address, body);
    if (result === "busy") throw new KernelError("EBUSY", "the range has changed");
    return result;
  }
}

/** Marks no page dirty that the device writes. */
class WritesInSilence extends TinyGpu {
  override readonly willWrite = (): boolean => false;
}

/** Copies the first 2 KiB of a page only. */
class CopiesHalf extends TinyGpu {
  override *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    yield* super.fill(src, dst, home);
    for (let i = 0; i < dst.length / 2; i++) {
      const page = migratePfnToPage(dst, i);
      if (page !== NULL_PAGE) this.vm.memmap.contents.write(page, 2048, new Uint8Array(2048));
    }
  }
}

/** Moves a hole to a page that still holds a byte of its last user. */
class FillsHolesWithAnything extends TinyGpu {
  override *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    yield* super.fill(src, dst, home);
    for (let i = 0; i < dst.length / 2; i++) {
      const page = migratePfnToPage(dst, i);
      if (!home && page !== NULL_PAGE && migratePfnToPage(src, i) === NULL_PAGE)
        this.vm.memmap.contents.write(page, 100, Uint8Array.of(1));
    }
  }
}

/** Answers a touch of the cpu with SIGBUS. */
class RefusesTheCpu extends TinyGpu {
  override *migrateToRam(): Sleeps<number> {
    return VmFault.SIGBUS;
  }
}

/** Clears a device page before the page has moved. */
class WipesTooEarly extends TinyGpu {
  override *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    yield* super.fill(src, dst, home);
    if (!home) return;
    for (let i = 0; i < src.length / 2; i++)
      if (migrates(src, i) && migratePfnToPage(dst, i) === NULL_PAGE)
        this.vm.memmap.contents.clear(migratePfnToPage(src, i));
  }
}

/** Takes every entry for writable. */
class WritesEverywhere extends TinyGpu {
  override readonly table: Map<number, Entry> = observed((table, { page, flags }, at) => {
    if ((flags & HmmPfn.write) === 0) table.set(at, { page, flags: flags | HmmPfn.write });
  });
}

/** Holds a user of the address space that it mirrors. */
class KeepsTheProcess extends TinyGpu {
  private kept: MmStruct | undefined = undefined;

  override *bind(process: MmStruct): Sleeps<void> {
    yield* super.bind(process);
    if (mmgetNotZero(process)) this.kept = process;
  }

  override *unbind(): Sleeps<void> {
    const { kept } = this;
    this.kept = undefined;
    if (kept) yield* mmput(kept);
    yield* super.unbind();
  }
}

/** Leaves its notifier and its region behind. */
class LeavesItsRegion extends TinyGpu {
  override *unbind(): Sleeps<void> {
    yield* this.evict();
    yield* this.pagemaps.memunmapPages(this.pagemap);
  }
}

/** The broken drivers, each with the obligation that it breaks. */
export const BROKEN: readonly (readonly [obligation: string, driver: typeof TinyGpu])[] = [
  ["invalidates before it returns", InvalidatesLater],
  ["holds no page past an invalidation", HoldsReferences],
  ["survives every retry", NeverAsksAgain],
  ["survives every retry", GivesUp],
  ["marks what it writes", WritesInSilence],
  ["keeps contents on the round trip", CopiesHalf],
  ["keeps contents on the round trip", FillsHolesWithAnything],
  ["gives pages back under pressure", RefusesTheCpu],
  ["loses nothing when it succeeds in part", WipesTooEarly],
  ["survives fork, munmap and mprotect", WritesEverywhere],
  ["lets go when the process exits", KeepsTheProcess],
  ["lets go when it is unbound", LeavesItsRegion],
];

/** A page table that calls `entered` for each entry. */
function observed(
  entered: (table: Map<number, Entry>, entry: Entry, at: number) => void,
): Map<number, Entry> {
  return new (class extends Map<number, Entry> {
    override set(at: number, entry: Entry): this {
      super.set(at, entry);
      entered(this, entry, at);
      return this;
    }
  })();
}
