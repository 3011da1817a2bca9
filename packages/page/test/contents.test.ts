import { KernelBug, MiB, type Page, PAGE_SIZE } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PageContents, PAGES_PER_SUBSECTION } from "../src/index.ts";

const PAGES = 4 * PAGES_PER_SUBSECTION;
const page = (number: number): Page => number as Page;

function readAll(contents: PageContents, from: Page): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE).fill(0xaa);
  contents.read(from, 0, bytes);
  return bytes;
}
const filled = (value: number): Uint8Array => new Uint8Array(PAGE_SIZE).fill(value);
const zeros = filled(0);

describe("the contents of a page", () => {
  test("are zeros until somebody writes, and cost nothing until then", () => {
    const contents = new PageContents(PAGES);
    expect(readAll(contents, page(5))).toEqual(zeros);
    expect(contents.bytes(page(5))).toBeUndefined();
    expect(contents.hostBytes).toBe(0);
  });

  test("are what was written, where it was written, with zeros around", () => {
    const contents = new PageContents(PAGES);
    contents.write(page(5), 4090, Uint8Array.of(1, 2, 3, 4, 5, 6));
    const expected = filled(0);
    expected.set([1, 2, 3, 4, 5, 6], 4090);
    expect(readAll(contents, page(5))).toEqual(expected);
    const part = new Uint8Array(3);
    contents.read(page(5), 4092, part);
    expect([...part]).toEqual([3, 4, 5]);
  });

  test("are those of an array of pages, whatever is written, copied and cleared", () => {
    // Neighbours in a chunk, pages a word of the chunk's map apart, and pages of other chunks.
    const pages = fc.constantFrom(0, 1, 31, 32, 511, 512, 1024).map(page);
    const step = fc.record({
      what: fc.constantFrom("write", "copy", "clear"),
      page: pages,
      other: pages,
      offset: fc.nat(PAGE_SIZE - 4),
      value: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const contents = new PageContents(PAGES);
        const model = new Map<Page, Uint8Array>();
        for (const { what, page: to, other, offset, value } of steps) {
          const bytes = Uint8Array.of(value, value ^ 1, value ^ 2, value ^ 3);
          if (what === "write") {
            contents.write(to, offset, bytes);
            const before = model.get(to)?.slice() ?? filled(0);
            before.set(bytes, offset);
            model.set(to, before);
          } else if (what === "copy") {
            contents.copy(to, other);
            model.set(to, model.get(other) ?? zeros);
          } else {
            contents.clear(to);
            model.delete(to);
          }
        }
        for (const number of [0, 1, 31, 32, 511, 512, 1024].map(page)) {
          expect(Buffer.compare(readAll(contents, number), model.get(number) ?? zeros)).toBe(0);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("are copied, not shared", () => {
    const contents = new PageContents(PAGES);
    contents.write(page(1), 0, filled(7));
    contents.copy(page(600), page(1));
    contents.write(page(1), 0, filled(8));
    expect(readAll(contents, page(600))).toEqual(filled(7));
  });

  test("are forgotten when a page is copied over them that nobody has written", () => {
    const contents = new PageContents(PAGES);
    contents.write(page(1), 0, filled(7));
    contents.copy(page(1), page(2));
    expect(readAll(contents, page(1))).toEqual(zeros);
    expect(contents.bytes(page(1))).toBeUndefined();
  });

  test("are zeros when they are written again after they were cleared", () => {
    const contents = new PageContents(PAGES);
    for (const number of [1, 2]) contents.write(page(number), 0, filled(7));
    contents.clear(page(1));
    contents.write(page(1), 0, Uint8Array.of(9));
    expect([...readAll(contents, page(1)).subarray(0, 3)]).toEqual([9, 0, 0]);
    expect(readAll(contents, page(2))).toEqual(filled(7));
  });

  test("take 2 MiB of the host, which go with the last written page among them", () => {
    const contents = new PageContents(PAGES);
    contents.write(page(1), 0, filled(1));
    contents.write(page(511), 0, filled(1));
    contents.write(page(512), 0, filled(1));
    expect(contents.hostBytes).toBe(4 * MiB);
    contents.clear(page(1));
    expect(contents.hostBytes).toBe(4 * MiB);
    contents.clear(page(511));
    expect(contents.hostBytes).toBe(2 * MiB);
    contents.clear(page(511));
    contents.clear(page(512));
    expect(contents.hostBytes).toBe(0);
  });

  test.each([
    ["begins before the page", -1, 1],
    ["ends behind the page", PAGE_SIZE - 1, 2],
    ["begins behind the page", PAGE_SIZE, 1],
  ])("can't be reached by an access that %s", (_, offset, length) => {
    const contents = new PageContents(PAGES);
    expect(() => contents.read(page(1), offset, new Uint8Array(length))).toThrow(KernelBug);
    expect(() => contents.write(page(1), offset, new Uint8Array(length))).toThrow(
      `write of ${length} bytes at ${offset} leaves the page`,
    );
    expect(contents.hostBytes).toBe(0);
  });
});

test("the pages of a chunk are the same, few or many, whatever was there before", () => {
  // More pages than have room of their own, so that runs cross the line both ways, and chunks are used again.
  const step = fc.record({
    what: fc.constantFrom("write", "write", "copy", "clear", "clear all"),
    page: fc.nat(2 * 24 - 1),
    other: fc.nat(2 * 24 - 1),
    value: fc.integer({ min: 1, max: 255 }),
  });
  const at = (number: number): Page => page(number < 24 ? number : PAGES_PER_SUBSECTION + number);
  fc.assert(
    fc.property(fc.array(step, { minLength: 40, maxLength: 160 }), (steps) => {
      const contents = new PageContents(PAGES);
      const model = new Uint8Array(2 * 24);
      for (const { what, page: to, other, value } of steps) {
        if (what === "write") contents.write(at(to), 8, Uint8Array.of(value));
        else if (what === "copy") contents.copy(at(to), at(other));
        else
          for (let i = 0; i < model.length; i++) if (i === to || what === "clear all") contents.clear(at(i));
        if (what === "write") model[to] = value;
        else if (what === "copy") model[to] = model[other] ?? 0;
        else if (what === "clear all") model.fill(0);
        else model[to] = 0;
      }
      expect(Array.from(model, (_, i) => readAll(contents, at(i))[8])).toEqual([...model]);
      for (const i of model.keys())
        expect(
          readAll(contents, at(i))
            .subarray(9)
            .every((byte) => byte === 0),
        ).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test("a chunk that goes over to the room of another has nothing of what was in it", () => {
  const contents = new PageContents(PAGES);
  // Chunk 0 has many pages and gives its room back; chunk 1 has few, and takes that room with one page more.
  for (let i = 0; i < 40; i++) contents.write(page(i), 0, filled(7));
  for (let i = 0; i < 16; i++) contents.write(page(PAGES_PER_SUBSECTION + i), 0, Uint8Array.of(1));
  for (let i = 0; i < 40; i++) contents.clear(page(i));
  contents.write(page(PAGES_PER_SUBSECTION + 20), 0, Uint8Array.of(2));
  // Cleared and written again: what a page held in between must not come back.
  for (const i of [3, 20]) {
    const own = page(PAGES_PER_SUBSECTION + i);
    contents.write(own, 0, filled(9));
    contents.clear(own);
    contents.write(own, 1, Uint8Array.of(3));
    expect([...readAll(contents, own).subarray(0, 3)]).toEqual([0, 3, 0]);
  }
  expect(readAll(contents, page(PAGES_PER_SUBSECTION + 4))).toEqual(
    Uint8Array.from(zeros, (_, at) => (at === 0 ? 1 : 0)),
  );
});

test("many pages copied at once arrive as they would one by one, in whatever order they lie", () => {
  const order = fc.constantFrom("up" as const, "down" as const, "mixed" as const);
  fc.assert(
    fc.property(order, order, fc.integer({ min: 1, max: 40 }), fc.nat(480), (from, to, count, start) => {
      const contents = new PageContents(PAGES);
      const expected = new PageContents(PAGES);
      const sources = inOrder(from, start, count);
      const targets = inOrder(to, 2 * PAGES_PER_SUBSECTION + start + 7, count);
      for (const [i, source] of sources.entries()) {
        // Every fifth page reads as zeros, and every third target holds something already.
        for (const each of [contents, expected]) {
          if (i % 5 !== 0) each.write(page(source), 0, filled(i + 1));
          if (i % 3 === 0) each.write(page(targets[i] ?? 0), 0, filled(200));
        }
        expected.copy(page(targets[i] ?? 0), page(source));
      }
      contents.copyPages(targets, sources, count);
      for (const target of targets) {
        for (const offset of [0, PAGE_SIZE - 1])
          expect(readAll(contents, page(target))[offset]).toBe(readAll(expected, page(target))[offset]);
        expect(contents.bytes(page(target)) === undefined).toBe(expected.bytes(page(target)) === undefined);
      }
    }),
  );
});

function inOrder(order: "up" | "down" | "mixed", start: number, count: number): Int32Array {
  const pages = Int32Array.from({ length: count }, (_, i) => start + i);
  if (order === "down") pages.reverse();
  if (order === "mixed") pages.sort((a, b) => ((a * 7) % 11) - ((b * 7) % 11) || a - b);
  return pages;
}
