// Each invariant says nothing of a sound machine, and finds what it is there for.
import { assertInvariants, type Page, type Pfn } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { expect, test } from "vitest";
import { type DevPagemap, pagemapInvariants } from "../src/index.ts";
import {
  pagemapMachine,
  type PagemapMachine,
  devicePagemap,
  START,
} from "@hetmem/test-machines/pagemap-machine";
import { SECTION } from "@hetmem/test-machines/ram";

const FIRST = START / 4096;

const damages: Readonly<
  Record<string, readonly [(machine: PagemapMachine, pagemap: DevPagemap, page: Page) => void, string]>
> = {
  "a lookup that is gone": [({ pagemaps }) => pagemaps.tree.erase(FIRST as Pfn, 512), "doesn't find dax0.0"],
  "a lookup beside the range": [
    ({ pagemaps }, { id }) => void pagemaps.tree.store((FIRST - 1) as Pfn, 1, id),
    "frame 0xfffff finds dax0.0 [mem 0x100000000-0x107ffffff], which it isn't of",
  ],
  "a reference that was given back twice": [
    (_machine, pagemap) => pagemap.ref.put(),
    "32768 references, and 32769 are",
  ],
  "a page that lost its reference": [
    ({ memmap }, _pagemap, page) => memmap.setRefcount(page, 0),
    "page 0x100007 (refcount 0",
  ],
  "a page that isn't reserved": [
    ({ memmap }, _pagemap, page) => memmap.clear(page, PageFlag.reserved),
    "page 0x100007",
  ],
  "a page that forgot its pagemap": [
    ({ memmap }, _pagemap, page) => memmap.initDeviceRange(page, 1, { zone: 4, pagemap: 99, references: 1 }),
    "page 0x100007",
  ],
  "a zone that doesn't span the device": [
    ({ memory }) => {
      const zone = memory.nodes[0]?.zones[4];
      if (zone) zone.spannedPages = 1;
    },
    "outside of ZONE_DEVICE of node 0",
  ],
};

test.each(Object.entries(damages))("%s is found", (_name, [damage, finding]) => {
  const machine = pagemapMachine();
  const pagemap = devicePagemap({ ranges: [{ start: START, size: SECTION }] });
  machine.map(pagemap);
  assertInvariants(machine.pagemaps, pagemapInvariants);
  damage(machine, pagemap, machine.page(pagemap, 7));
  expect(() => assertInvariants(machine.pagemaps, pagemapInvariants)).toThrow(finding);
});

test("an entry that is left of a pagemap that is gone is found", () => {
  const machine = pagemapMachine();
  machine.pagemaps.tree.store(FIRST as Pfn, 512, 5);
  expect(() => assertInvariants(machine.pagemaps, pagemapInvariants)).toThrow(
    "frames of no pagemap are entered",
  );
});
