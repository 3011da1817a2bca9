// Struct pages in the device's own memory: how much of it they take, where the device's own pages begin, and that the
// altmap is known to whoever removes them until the last has gone.
import { GiB, MiB, type Pfn, pfn } from "@hetmem/kernel";
import { PageFlag, PAGES_PER_SECTION } from "@hetmem/page";
import { expect, test } from "vitest";
import { type DevPagemap, MemoryType } from "../src/index.ts";
import { pagemapMachine, devicePagemap, LATER, START } from "@hetmem/test-machines/pagemap-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { SECTION } from "@hetmem/test-machines/ram";

const FIRST = START / 4096;
/** Frames of struct pages for a section: 2 MiB. */
const FRAMES = 512;

/** Persistent memory that keeps its own struct pages, as `ndctl create-namespace --map=dev` makes it. */
function pmem(
  sections: number,
  altmap: { readonly reserve: number; readonly free: number },
  start = START,
): DevPagemap {
  return devicePagemap({
    name: "pmem0",
    type: MemoryType.DeviceFsDax,
    ranges: [{ start, size: sections * SECTION }],
    altmap,
  });
}

test("takes nothing from RAM, and 1/64 of the device", () => {
  const machine = pagemapMachine();
  const ram = machine.hotplug.vmemmap.framesInUse;
  const pagemap = pmem(4, { reserve: FRAMES, free: 4 * FRAMES });
  machine.map(pagemap);
  expect(machine.hotplug.vmemmap.framesInUse).toBe(ram);
  expect(pagemap.altmap?.alloc).toBe(4 * FRAMES);
  expect(pagemap.firstPfn(0)).toBe(FIRST + 5 * FRAMES);
  expect(pagemap.pages(0)).toBe(4 * PAGES_PER_SECTION - 5 * FRAMES);
});

test("aligns struct pages of a section to their size, and counts what that costs", () => {
  const machine = pagemapMachine();
  const pagemap = pmem(2, { reserve: 2, free: 3 * FRAMES });
  machine.map(pagemap);
  expect([pagemap.altmap?.align, pagemap.altmap?.alloc]).toEqual([FRAMES - 2, 2 * FRAMES]);
});

test("that is too small for its struct pages is ENOMEM, and leaves nothing behind", () => {
  const machine = pagemapMachine();
  const before = machine.fingerprint();
  const pagemap = pmem(4, { reserve: FRAMES, free: 3 * FRAMES });
  expect(outcome(() => machine.map(pagemap))).toBe("ENOMEM");
  expect(machine.fingerprint()).toEqual(before);
  expect(pagemap.altmap?.alloc).toBe(0);
});

test("that is larger than the device is EINVAL", () => {
  expect(outcome(() => pagemapMachine().map(pmem(1, { reserve: PAGES_PER_SECTION, free: FRAMES })))).toBe(
    "EINVAL",
  );
});

test("goes with a single range only", () => {
  const machine = pagemapMachine();
  const before = machine.fingerprint();
  const ranges = [0, 2].map((n) => ({ start: START + n * SECTION, size: SECTION }));
  const pagemap = devicePagemap({ ranges, altmap: { reserve: 0, free: 2 * FRAMES } });
  expect(outcome(() => machine.map(pagemap))).toBe("EINVAL");
  expect(machine.fingerprint()).toEqual(before);
});

test("is aligned down with its range where whole sections are mapped: what lies before the range isn't used", () => {
  const machine = pagemapMachine();
  const pagemap = pmem(1, { reserve: 0, free: 2 * FRAMES }, START + 16 * MiB);
  machine.map(pagemap);
  expect(pagemap.altmap?.basePfn).toBe(FIRST);
  expect(pagemap.altmap?.reserve).toBe((16 * MiB) / 4096);
  expect(pagemap.firstPfn(0)).toBe(FIRST + (16 * MiB) / 4096 + 2 * FRAMES);
  machine.check();
  machine.unmap(pagemap);
});

test("its own frames and the reserve have struct pages that are reserved and nobody's to look up as a page", () => {
  const machine = pagemapMachine();
  const pagemap = pmem(1, { reserve: FRAMES, free: FRAMES });
  machine.map(pagemap);
  for (const n of [0, FRAMES - 1, FRAMES, 2 * FRAMES - 1]) {
    const page = machine.memmap.pfnToPage(pfn(FIRST + n));
    expect(machine.memmap.test(page, PageFlag.reserved)).toBe(true);
    expect(machine.pagemaps.pagemapOf(page)).toBeUndefined();
    expect(pagemap.pfnValid(pfn(FIRST + n))).toBe(false);
  }
  expect(pagemap.pfnValid(pfn(FIRST + 2 * FRAMES))).toBe(true);
  expect(pagemap.pfnValid(pfn(FIRST + PAGES_PER_SECTION))).toBe(false);
});

test("is known for any frame of its sections until the removal of their struct pages has completed", () => {
  const machine = pagemapMachine();
  const pagemap = pmem(1, { reserve: 0, free: 2 * FRAMES }, START + 16 * MiB);
  machine.map(pagemap);
  // The last frames of the second section, and the first of the first, are mapped, but not the device's.
  const frames = [0, 1, 4096, FRAMES, 2 * PAGES_PER_SECTION - 1].map((n) => pfn(FIRST + n));
  const task = machine.pagemaps.memunmapPages(pagemap);
  let stepsWithout = 0;
  for (let step = task.next(); !step.done; step = task.next()) {
    const present = frames.some((frame) => machine.memmap.pfnValid(frame));
    const known = frames.every((frame) => machine.pagemaps.toVmemAltmap(frame) === pagemap.altmap);
    if (present && !known) stepsWithout++;
  }
  expect(stepsWithout).toBe(0);
  expect(frames.map((frame) => machine.pagemaps.toVmemAltmap(frame))).toEqual(frames.map(() => undefined));
  expect(pagemap.altmap?.alloc).toBe(0);
});

test("begins anew with each mapping: alignment that was lost before isn't lost twice", () => {
  const machine = pagemapMachine();
  const pagemap = pmem(2, { reserve: 2, free: 2 * FRAMES + FRAMES - 2 });
  for (let i = 0; i < 3; i++) {
    machine.map(pagemap);
    machine.unmap(pagemap);
  }
  expect(machine.hotplug.vmemmap.framesInUse).toBe(0);
});

test("of a device in subsections holds the struct pages of those alone", () => {
  const machine = pagemapMachine({ policies: LATER });
  const pagemap = devicePagemap({
    ranges: [{ start: START + 2 * MiB, size: 6 * MiB }],
    altmap: { reserve: 8, free: 48 },
  });
  machine.map(pagemap);
  expect(pagemap.altmap?.alloc).toBe(24);
  expect(machine.page(pagemap, 0)).toBe(machine.memmap.pfnToPage(((START + 2 * MiB) / 4096 + 56) as Pfn));
  machine.check();
  machine.unmap(pagemap);
});

test("keeps a terabyte's struct pages out of a small host's RAM", () => {
  const machine = pagemapMachine({ room: 33 * GiB, policies: LATER });
  const plain = devicePagemap({ ranges: [{ start: START, size: 16 * GiB }] });
  expect(outcome(() => machine.map(plain))).toBe("ENOMEM");
  machine.map(pmem(128, { reserve: 512, free: 128 * FRAMES }));
});
