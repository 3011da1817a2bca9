// The memory that struct pages of compound device pages take.
import { GiB, MiB, pfn } from "@hetmem/kernel";
import { sharedVmemmapPages } from "@hetmem/zone";
import { expect, test } from "vitest";
import { defaultPagemapPolicies, type PagemapPolicies } from "../src/index.ts";
import { pagemapMachine, devicePagemap, LATER, START } from "@hetmem/test-machines/pagemap-machine";
import { SECTION } from "@hetmem/test-machines/ram";

const ORDER_2M = 9;
const ORDER_1G = 18;

/** Frames of RAM that hold struct pages of one section of a device. */
function framesOf(vmemmapShift: number, policies: PagemapPolicies = LATER): number {
  const machine = pagemapMachine({ policies });
  machine.map(devicePagemap({ ranges: [{ start: START, size: SECTION }], vmemmapShift }));
  return machine.hotplug.vmemmap.framesInUse;
}

test("small pages have a struct page each, 512 frames a section", () => {
  expect(framesOf(0)).toBe(512);
});

test("compound pages of 2 MiB have two frames of struct pages each: of the head, and of all tails", () => {
  expect(framesOf(ORDER_2M)).toBe(2 * 64);
});

test("a compound page of 1 GiB has its two frames in its first section, and none in the other seven", () => {
  const first = pfn(START / 4096);
  const tails = { first, pages: GiB / 4096 };
  const perSection = Array.from({ length: 16 }, (_, section) =>
    sharedVmemmapPages(pfn(first + section * (SECTION / 4096)), SECTION / 4096, tails),
  );
  expect(perSection).toEqual([2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
  expect(framesOf(ORDER_1G)).toBe(2);
});

test("up to 5.18 compound pages cost what small ones do", () => {
  expect(framesOf(ORDER_2M, defaultPagemapPolicies)).toBe(512);
});

test("struct pages in the device itself are never shared", () => {
  const machine = pagemapMachine({ policies: LATER });
  const pagemap = devicePagemap({
    ranges: [{ start: START, size: SECTION }],
    vmemmapShift: ORDER_2M,
    altmap: { reserve: 0, free: (2 * MiB) / 4096 },
  });
  machine.map(pagemap);
  expect([machine.hotplug.vmemmap.framesInUse, pagemap.altmap?.alloc]).toEqual([0, 512]);
});

test("a release gives back all that shared struct pages took", () => {
  const machine = pagemapMachine({ policies: LATER });
  const before = machine.fingerprint();
  const pagemap = devicePagemap({ vmemmapShift: ORDER_2M });
  machine.map(pagemap);
  machine.unmap(pagemap);
  expect(machine.fingerprint()).toEqual(before);
});
