// pfn_t and bus addresses: whatever the width, nothing is cut off.
import { KernelBug, type Pfn, pfn, physAddr } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  dmaToPhys,
  pageToPfnT,
  PfnFlag,
  pfnTDevmap,
  pfnTFlags,
  pfnTHasPage,
  pfnToPfnT,
  pfnTToPage,
  pfnTToPfn,
  pfnTToPhys,
  physToDma,
  physToPfnT,
} from "../src/index.ts";
import { pagemapMachine, devicePagemap, START } from "@hetmem/test-machines/pagemap-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const ALL_FLAGS = PfnFlag.SG_CHAIN | PfnFlag.SG_LAST | PfnFlag.DEV | PfnFlag.MAP | PfnFlag.SPECIAL;

describe("pfn_t", () => {
  test("gives back any frame and any flags that it was made of", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(ALL_FLAGS), (value, flags) => {
        const frame = (value % 2 ** 40) as Pfn;
        const made = pfnToPfnT(frame, flags);
        expect([pfnTToPfn(made), pfnTFlags(made), pfnTToPhys(made)]).toEqual([frame, flags, frame * 4096]);
        expect(physToPfnT(physAddr(frame * 4096 + 4095), flags)).toBe(made);
      }),
    );
  });

  test("of an address above 4 GiB with all its flags keeps every bit", () => {
    const top = pfnToPfnT(pfn(2 ** 40 - 1), ALL_FLAGS);
    expect([pfnTToPfn(top), pfnTFlags(top), pfnTToPhys(top)]).toEqual([
      2 ** 40 - 1,
      ALL_FLAGS,
      2 ** 52 - 4096,
    ]);
  });

  test("refuses what isn't a frame", () => {
    expect(() => pfnToPfnT(pfn(2 ** 40))).toThrow(KernelBug);
    expect(() => pfnToPfnT(pfn(-1))).toThrow(KernelBug);
  });

  test("of a device has a struct page when a pagemap made one, and then marks the page table entry", () => {
    const flags = [0, PfnFlag.DEV, PfnFlag.DEV | PfnFlag.MAP, PfnFlag.MAP];
    expect(flags.map((each) => pfnTHasPage(pfnToPfnT(pfn(1), each)))).toEqual([true, false, true, true]);
    expect(flags.map((each) => pfnTDevmap(pfnToPfnT(pfn(1), each)))).toEqual([false, false, true, false]);
  });

  test("leads to the struct page and back", () => {
    const machine = pagemapMachine();
    const pagemap = devicePagemap();
    machine.map(pagemap);
    const page = machine.page(pagemap, 9);
    const value = pfnToPfnT(machine.memmap.pageToPfn(page), PfnFlag.DEV | PfnFlag.MAP);
    expect(pfnTToPage(machine.memmap, value)).toBe(page);
    expect(pfnTToPfn(pageToPfnT(machine.memmap, page))).toBe(START / 4096 + 9);
    expect(pfnTToPage(machine.memmap, pfnToPfnT(pfn(1), PfnFlag.DEV))).toBeUndefined();
  });
});

describe("a bus address", () => {
  test("is the physical one and an offset, past 32 bits too, and leads back", () => {
    const view = { addressBits: 64, offset: 2 ** 45 };
    expect(physToDma(view, physAddr(2 ** 40 + 4096), 4096)).toBe(2 ** 45 + 2 ** 40 + 4096);
    expect(dmaToPhys(view, 2 ** 45 + 2 ** 40)).toBe(2 ** 40);
  });

  test("that a device can't put on the bus to its last byte is EIO, and never what is left of it", () => {
    const view = { addressBits: 32, offset: 0 };
    expect(outcome(() => physToDma(view, physAddr(2 ** 32 - 4096), 4096))).toBe("done");
    expect(outcome(() => physToDma(view, physAddr(2 ** 32 - 4096), 4097))).toBe("EIO");
    expect(outcome(() => physToDma(view, physAddr(2 ** 32), 1))).toBe("EIO");
    expect(outcome(() => physToDma({ addressBits: 64, offset: -8192 }, physAddr(4096), 1))).toBe("EIO");
  });
});
