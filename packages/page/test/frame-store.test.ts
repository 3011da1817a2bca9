// Memory that keeps its bytes by itself: what a device's pages show of it, what RAM makes of it, and what stays.
import { type Page, PAGE_SIZE, pfn } from "@hetmem/kernel";
import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { DeviceRam, type FrameStore, type MemMap, PAGES_PER_SUBSECTION, sectionToPfn } from "../src/index.ts";
import { NORMAL, nth, smallMemMap } from "./small-memmap.ts";

const FIRST = sectionToPfn(1);
const DEVICE_ZONE = 4;
const SUBSECTION = PAGES_PER_SUBSECTION;

let memmap: MemMap;
let ram: DeviceRam;
let writtenBack: Parameters<FrameStore["writeback"]>[];
/** The second to the fourth 2 MiB of section 1 are a module's. */
function machine(): void {
  memmap = smallMemMap();
  ram = new DeviceRam();
  writtenBack = [];
  memmap.stores.add(pfn(FIRST + SUBSECTION), pfn(FIRST + 4 * SUBSECTION), {
    has: (frame) => ram.has(frame),
    bytes: (frame) => ram.bytes(frame),
    writeback: (...lines) => void writtenBack.push(lines),
  });
}
beforeEach(machine);

/** The nth page of the module. */
const stored = (n: number): Page => nth(memmap, SUBSECTION + n);
const bytesOf = (n: number): Uint8Array => ram.bytes(pfn(FIRST + SUBSECTION + n));
const filled = (value: number): Uint8Array => new Uint8Array(PAGE_SIZE).fill(value);

function readAll(page: Page): Uint8Array {
  const bytes = filled(0xaa);
  memmap.contents.read(page, 0, bytes);
  return bytes;
}

function isStored(page: Page): boolean {
  return page >= stored(0) && page < stored(2 * SUBSECTION);
}

/** The module's first 4 MiB get other struct pages. */
function become(what: "device" | "RAM"): void {
  memmap.poisonRange(stored(0), 2 * SUBSECTION);
  memmap.contents.clearChunks(stored(0), 2 * SUBSECTION);
  if (what === "device")
    memmap.initDeviceRange(stored(0), 2 * SUBSECTION, { zone: DEVICE_ZONE, pagemap: 1, references: 1 });
  else memmap.initRange(stored(0), 2 * SUBSECTION, NORMAL, 0, 1);
}

describe("a device's page", () => {
  beforeEach(() => become("device"));

  test("shows what lies in the device, and zeros where nothing does", () => {
    expect(memmap.contents.bytes(stored(3))).toBeUndefined();
    expect(readAll(stored(3))).toEqual(filled(0));
    bytesOf(3).fill(7);
    expect(readAll(stored(3))).toEqual(filled(7));
  });
  test("is written where it lies, and what is around it is left alone", () => {
    bytesOf(3).fill(7);
    memmap.contents.write(stored(3), 10, Uint8Array.of(1, 2));
    expect([...bytesOf(3).subarray(9, 13)]).toEqual([7, 1, 2, 7]);
  });
  test("changes when somebody else writes to the device", () => {
    memmap.contents.write(stored(3), 0, Uint8Array.of(1));
    bytesOf(3)[0] = 2;
    expect(readAll(stored(3))[0]).toBe(2);
  });
  test("is zeros in the device, too, when it is cleared, or a page is copied over it that nobody has written", () => {
    for (const n of [3, 4]) bytesOf(n).fill(7);
    memmap.contents.clear(stored(3));
    memmap.contents.copy(stored(4), nth(memmap, 9));
    expect([bytesOf(3), bytesOf(4)]).toEqual([filled(0), filled(0)]);
  });
  test("sends its cache lines to the device when they are written back; RAM has none to send", () => {
    memmap.contents.writeback(stored(3), 64, 128);
    memmap.contents.writeback(nth(memmap, 9), 0, 64);
    expect(writtenBack).toEqual([[FIRST + SUBSECTION + 3, 64, 128]]);
  });
  test("takes nothing of the host's memory but what the device has", () => {
    memmap.contents.write(stored(3), 0, filled(1));
    expect(memmap.contents.hostBytes).toBe(0);
  });
  test("beside the device in the same 2 MiB has bytes of its own", () => {
    const other = smallMemMap();
    other.stores.add(pfn(FIRST), pfn(FIRST + 1), new DeviceRam());
    other.initDeviceRange(nth(other, 0), SUBSECTION, { zone: DEVICE_ZONE, pagemap: 1, references: 1 });
    other.contents.write(nth(other, 5), 0, Uint8Array.of(9));
    expect(other.contents.bytes(nth(other, 5))?.[0]).toBe(9);
    expect(other.contents.bytes(nth(other, 6))).toBeUndefined();
  });
});

describe("RAM that is made of a device", () => {
  beforeEach(() => become("device"));

  test("reads as zeros over what lies there, and its first write wipes the page", () => {
    bytesOf(3).fill(7);
    become("RAM");
    expect(memmap.contents.bytes(stored(3))).toBeUndefined();
    memmap.contents.write(stored(3), 1, Uint8Array.of(1));
    expect([...bytesOf(3).subarray(0, 3)]).toEqual([0, 1, 0]);
  });
  test("leaves in the device what it held when it was freed, and reads as zeros again", () => {
    become("RAM");
    memmap.contents.write(stored(3), 0, filled(5));
    memmap.contents.clear(stored(3));
    expect(readAll(stored(3))).toEqual(filled(0));
    expect(bytesOf(3)).toEqual(filled(5));
    memmap.contents.materialise(stored(3));
    expect(bytesOf(3)).toEqual(filled(0));
  });
});

test("what RAM leaves in a device is no room for other pages", () => {
  become("RAM");
  memmap.contents.write(stored(3), 0, filled(5));
  memmap.contents.clear(stored(3));
  memmap.contents.write(nth(memmap, 9), 0, filled(6));
  expect(memmap.contents.hostBytes).toBe(SUBSECTION * PAGE_SIZE);
});

test("no frame has two stores", () => {
  expect(() => memmap.stores.add(pfn(FIRST), pfn(FIRST + SUBSECTION + 1), new DeviceRam())).toThrow(
    /have a store already/,
  );
});

test("a module holds what was written to its frames last, whatever its pages were and are", () => {
  const page = fc.constantFrom(0, 1, 2, 3, 31, 32, 511, 512, 513);
  const step = fc.record({
    what: fc.constantFrom("write", "copy", "copyPages", "clear", "device", "RAM"),
    page,
    other: fc.constantFrom(10, 11, 12, 13),
    isFrom: fc.boolean(),
    value: fc.integer({ min: 1, max: 255 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      machine();
      become("device");
      let role = "device";
      // By page: what it reads as, of which each byte is the same; and what the module holds.
      const seen = new Map<Page, number>();
      const held = new Map<Page, number>();
      const put = (to: Page, value: number): void => {
        seen.set(to, value);
        held.set(to, value);
      };
      // A page that nobody has written is cleared where it is copied to: RAM isn't touched for that.
      const clear = (to: Page): void => {
        seen.set(to, 0);
        if (role === "device") held.set(to, 0);
      };
      const copy = (to: Page, from: Page): void => {
        if (memmap.contents.bytes(from) === undefined) clear(to);
        else put(to, seen.get(from) ?? 0);
      };
      for (const { what, page: n, other, isFrom, value } of steps) {
        const [from, to] = isFrom ? [stored(n), nth(memmap, other)] : [nth(memmap, other), stored(n)];
        if (what === "write") {
          memmap.contents.write(stored(n), 0, filled(value));
          memmap.contents.write(nth(memmap, other), 0, filled(value ^ 0xff));
          put(stored(n), value);
          seen.set(nth(memmap, other), value ^ 0xff);
        } else if (what === "copy") {
          copy(to, from);
          memmap.contents.copy(to, from);
        } else if (what === "copyPages") {
          for (let i = 0; i < 3; i++) copy((to + i) as Page, (from + i) as Page);
          const run = (first: Page): Int32Array => Int32Array.of(first, first + 1, first + 2);
          memmap.contents.copyPages(run(to), run(from), 3);
        } else if (what === "clear") {
          memmap.contents.clear(stored(n));
          clear(stored(n));
        } else {
          role = what;
          become(what as "device" | "RAM");
          for (const known of seen.keys())
            if (isStored(known)) seen.set(known, role === "device" ? (held.get(known) ?? 0) : 0);
        }
        for (const [known, expected] of seen) expect(readAll(known)[PAGE_SIZE - 1]).toBe(expected);
        for (const [known, expected] of held)
          if (isStored(known)) expect(bytesOf(known - stored(0))[0]).toBe(expected);
      }
    }),
    { numRuns: 60 },
  );
});
