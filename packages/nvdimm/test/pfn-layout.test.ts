// Where struct pages and data come to lie in a namespace, by release: whole sections up to 5.2, what is there since 5.3.
import { outcome } from "@hetmem/test-machines/outcome";
import { GiB, KiB, MiB, PAGE_SIZE } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { sectionLayout } from "../src/index.ts";
import { claimNamespace } from "./claim-namespace.ts";
import {
  machine,
  type MachineOptions,
  type NvdimmMachine,
  START,
} from "@hetmem/test-machines/nvdimm-machine";

const SECTION = 128 * MiB;
const HALF = SECTION / 2;
/** 64 bytes for each page of a section. */
const MEMMAP_OF_SECTION = 2 * MiB;
const RESERVE = 8 * KiB;

function devdax(options: MachineOptions): NvdimmMachine {
  const made = machine({ firmware: "none", pfnLayout: sectionLayout, ...options });
  claimNamespace(made.namespace("namespace0.0"), "dax");
  return made;
}

/** Where what is mapped begins and ends, data begins, and struct pages are counted from. */
function layoutOf({ daxRegions }: NvdimmMachine) {
  const made = daxRegions.at(-1);
  if (!made) throw new Error("no dax region");
  const { altmap, range } = made.pagemap;
  return { mapped: range, data: made.range, altmapBase: (altmap?.basePfn ?? 0) * PAGE_SIZE, altmap };
}

const told = ({ kernel }: NvdimmMachine): string[] =>
  kernel.log.records.map(({ text }) => text).filter((text) => text.includes("collision"));

test("a namespace that begins in a section with RAM keeps off it up to 5.2, and the log says what that costs", () => {
  const start = START + HALF;
  const made = devdax({ start, ram: [[START, start]] });
  const { mapped, data, altmapBase } = layoutOf(made);
  expect(mapped).toEqual({ start: START + SECTION, end: start + GiB });
  expect(altmapBase).toBe(START + SECTION);
  // The last section is half a one, and has struct pages for a whole.
  expect(data.start).toBe(START + SECTION + 8 * MEMMAP_OF_SECTION + 2 * MiB);
  expect(told(made)).toEqual([`dax_pmem dax0.0: namespace0.0 alignment collision, truncate ${HALF} bytes`]);
});

test("a namespace that ends in a section with RAM ends a section earlier", () => {
  const end = START + GiB - HALF;
  const made = devdax({ size: GiB - HALF, ram: [[end, end + HALF]] });
  expect(layoutOf(made).mapped).toEqual({ start: START, end: end - HALF });
  expect(told(made)).toHaveLength(1);
});

test("another region in the section is in the way as RAM is", () => {
  const size = 512 * MiB + HALF;
  const made = devdax({ size, regions: 2 });
  expect(layoutOf(made).mapped).toEqual({ start: START, end: START + 512 * MiB });
});

test("half a section that nobody else has is mapped as it lies, its struct pages counted from the section's start", () => {
  const made = devdax({ start: START + HALF });
  const { mapped, altmap, altmapBase } = layoutOf(made);
  expect(mapped).toEqual({ start: START + HALF, end: START + HALF + GiB });
  expect(altmapBase).toBe(START);
  expect(altmap?.reserve).toBe((HALF + RESERVE) / PAGE_SIZE);
  expect(told(made)).toEqual([]);
});

test("since 5.3 nothing is kept off: the same namespace is mapped from its first byte", () => {
  const start = START + HALF;
  const made = machine({ firmware: "none", start, ram: [[START, start]] });
  claimNamespace(made.namespace("namespace0.0"), "dax");
  expect(layoutOf(made).mapped).toEqual({ start, end: start + GiB });
  expect(layoutOf(made).altmapBase).toBe(start);
  expect(told(made)).toEqual([]);
});

test("what was laid out by whole sections stays where it is when a later release boots", () => {
  const start = START + HALF;
  const made = devdax({ start, ram: [[START, start]] });
  const before = layoutOf(made);
  const { pfnLayout: _, ...later } = made.options;
  Object.assign(made, { options: later });
  made.reboot();
  const { mapped, data } = layoutOf(made);
  expect({ mapped, data }).toEqual({ mapped: before.mapped, data: before.data });
});

test("a namespace of which the padding leaves nothing is ENXIO, and says so", () => {
  const start = START + HALF;
  const made = machine({
    firmware: "none",
    pfnLayout: sectionLayout,
    start,
    size: HALF,
    ram: [[START, start]],
  });
  const create = (): void => {
    claimNamespace(made.namespace("namespace0.0"), "dax");
  };
  expect(outcome(create)).toBe("ENXIO");
  expect(
    made.kernel.log.records.some(({ text }) => text.includes("unable to satisfy requested alignment")),
  ).toBe(true);
});
