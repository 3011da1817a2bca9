// The driver of the README with one thing wrong each: what somebody forgets, or thinks that he can do without. Every one
// breaks one obligation, and no other.
import { KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { migratePfnToPage, migrates } from "@hetmem/hmm-migrate";
import { HmmPfn } from "@hetmem/hmm-mirror";
import {
  mmgetNotZero,
  mmput,
  type MmStruct,
  type MmuNotifierRange,
  mmuIntervalSetSeq,
  type Vma,
  VmFault,
} from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { TinyGpu } from "../../examples/tiny-gpu.ts";

type Entry = { readonly page: Page; readonly flags: number };

/** Notes what has to go, and clears it when the engine runs next: a TLB that is flushed when there is time. */
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

/** Pins what it maps of RAM, so that nobody takes it away. */
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

/** Clears its table, and doesn't tell who is looking at the cpu's that they look in vain. */
class NeverAsksAgain extends TinyGpu {
  override *invalidate(_: unknown, { start, end }: MmuNotifierRange): Sleeps<boolean> {
    for (const at of this.table.keys()) if (at >= start && at < end) this.table.delete(at);
    return true;
  }
}

/** Takes "busy" for an error. */
class GivesUp extends TinyGpu {
  override *locked<T>(address: VirtAddr, body: (vma: Vma) => Sleeps<T>): Sleeps<T> {
    const result = yield* super.locked(address, body);
    if (result === "busy") throw new KernelError("EBUSY", "the range has changed");
    return result;
  }
}

/** Leaves it to the cpu's entries to know what was written. */
class WritesInSilence extends TinyGpu {
  override readonly willWrite = (): boolean => false;
}

/** Its pages are 2 KiB long when they are copied. */
class CopiesHalf extends TinyGpu {
  override *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    yield* super.fill(src, dst, home);
    for (let i = 0; i < dst.length / 2; i++) {
      const page = migratePfnToPage(dst, i);
      if (page !== NULL_PAGE) this.vm.memmap.contents.write(page, 2048, new Uint8Array(2048));
    }
  }
}

/** Hands out pages as the last user left them. */
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

/** A process that touches what the device works on has made a mistake. */
class RefusesTheCpu extends TinyGpu {
  override *migrateToRam(): Sleeps<number> {
    return VmFault.SIGBUS;
  }
}

/** Takes its page to be free as soon as it has been asked to give it back. */
class WipesTooEarly extends TinyGpu {
  override *fill(src: Int32Array, dst: Int32Array, home: boolean): Sleeps<void> {
    yield* super.fill(src, dst, home);
    if (!home) return;
    for (let i = 0; i < src.length / 2; i++)
      if (migrates(src, i) && migratePfnToPage(dst, i) === NULL_PAGE)
        this.vm.memmap.contents.clear(migratePfnToPage(src, i));
  }
}

/** Its entries have one bit, and that says that there is a page. */
class WritesEverywhere extends TinyGpu {
  override readonly table: Map<number, Entry> = observed((table, { page, flags }, at) => {
    if ((flags & HmmPfn.write) === 0) table.set(at, { page, flags: flags | HmmPfn.write });
  });
}

/** Keeps the address space that it mirrors. */
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

/** Is gone before it has cleaned up. */
class LeavesItsRegion extends TinyGpu {
  override *unbind(): Sleeps<void> {
    yield* this.evict();
    yield* this.pagemaps.memunmapPages(this.pagemap);
  }
}

/** Each with the obligation that it breaks. */
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

/** A page table that tells what is entered. */
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
