import { KernelBug, type Page } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ListId, type MemMap, NULL_PAGE, PageFlag } from "../src/index.ts";
import { NORMAL, nth, smallMemMap } from "./small-memmap.ts";

/** A list as its links tell it from the end. */
function backwards({ lists }: MemMap, list: ListId): Page[] {
  const pages: Page[] = [];
  for (let page = lists.last(list); page !== NULL_PAGE; page = lists.prev(page)) pages.push(page);
  return pages;
}

describe("a list of pages", () => {
  test("that is empty has no first page, no last and none in between", () => {
    const { lists } = smallMemMap();
    const list = lists.create();
    expect([lists.first(list), lists.last(list), lists.count(list)]).toEqual([NULL_PAGE, NULL_PAGE, 0]);
    expect([...lists.pages(list)]).toEqual([]);
  });

  test("does what an array does, whatever is added and removed", () => {
    const memmap = smallMemMap();
    const { lists } = memmap;
    const ids = [lists.create(), lists.create(), lists.create()];
    const step = fc.record({
      what: fc.constantFrom("addHead", "addTail", "remove"),
      list: fc.nat(ids.length - 1),
      page: fc.nat(7),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const model = ids.map((): Page[] => []);
        for (const { what, list, page: n } of steps) {
          const page = nth(memmap, n);
          const on = model.findIndex((pages) => pages.includes(page));
          if (what === "remove") {
            if (on < 0) continue;
            lists.remove(ids[on] as ListId, page);
            model[on] = (model[on] ?? []).filter((other) => other !== page);
          } else if (on < 0) {
            if (what === "addHead") lists.addHead(ids[list] as ListId, page);
            else lists.addTail(ids[list] as ListId, page);
            if (what === "addHead") model[list]?.unshift(page);
            else model[list]?.push(page);
          }
          for (const [i, id] of ids.entries()) {
            const pages = model[i] ?? [];
            expect([...lists.pages(id)]).toEqual(pages);
            expect(backwards(memmap, id)).toEqual(pages.toReversed());
            expect(lists.count(id)).toBe(pages.length);
          }
          expect(lists.linked(page)).toBe(model.some((pages) => pages.includes(page)));
        }
        for (const [i, id] of ids.entries()) for (const page of model[i] ?? []) lists.remove(id, page);
      }),
    );
  });

  test.each(["addHead", "addTail"] as const)(
    "refuses a page that is on a list already (%s): it would tear the other list apart",
    (add) => {
      const memmap = smallMemMap();
      const { lists } = memmap;
      const [mine, other] = [lists.create(), lists.create()];
      const page = nth(memmap, 1);
      lists.addTail(mine, page);
      expect(() => lists[add](mine, page)).toThrow(KernelBug);
      expect(() => lists[add](other, page)).toThrow(KernelBug);
      expect([[...lists.pages(mine)], [...lists.pages(other)]]).toEqual([[page], []]);
    },
  );

  test("refuses to give up a page that is on no list, once it was on one or never", () => {
    const memmap = smallMemMap();
    const { lists } = memmap;
    const list = lists.create();
    const page = nth(memmap, 1);
    expect(() => lists.remove(list, page)).toThrow(KernelBug);
    lists.addTail(list, nth(memmap, 2));
    lists.addTail(list, page);
    lists.remove(list, page);
    expect(() => lists.remove(list, page)).toThrow(`page ${page} is not on list ${list}`);
    expect([...lists.pages(list)]).toEqual([nth(memmap, 2)]);
  });

  test.each([
    ["only", [1], 1],
    ["first", [1, 2], 1],
    ["last", [1, 2], 2],
  ])("refuses to give up the %s page of another list", (_, pages, taken) => {
    const memmap = smallMemMap();
    const { lists } = memmap;
    const [mine, other] = [lists.create(), lists.create()];
    for (const n of pages) lists.addTail(mine, nth(memmap, n));
    expect(() => lists.remove(other, nth(memmap, taken))).toThrow(KernelBug);
    expect([lists.count(mine), lists.count(other)]).toEqual([pages.length, 0]);
  });

  test("refuses a page whose struct page isn't initialised", () => {
    const memmap = smallMemMap();
    const list = memmap.lists.create();
    memmap.poisonRange(nth(memmap, 1), 1);
    expect(() => memmap.lists.addTail(list, nth(memmap, 1))).toThrow(KernelBug);
  });

  test("keeps its pages when the heads grow past 256 lists", () => {
    const memmap = smallMemMap();
    const { lists } = memmap;
    const ids = Array.from({ length: 256 }, () => lists.create());
    for (const [i, id] of ids.entries()) lists.addTail(id, nth(memmap, i));
    for (let i = 256; i < 600; i++) {
      const id = lists.create();
      ids.push(id);
      lists.addHead(id, nth(memmap, i));
    }
    expect(new Set(ids).size).toBe(600);
    expect(ids.map((id) => [...lists.pages(id)])).toEqual(ids.map((_, i) => [nth(memmap, i)]));
    lists.remove(ids[255] as ListId, nth(memmap, 255));
    expect([254, 255, 256].map((i) => lists.count(ids[i] as ListId))).toEqual([1, 0, 1]);
  });
});

describe("a free block", () => {
  test("is known by its order, its zone and the type of its list", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 8);
    memmap.lists.addFreeBlock(memmap.lists.create(), page, 3, 1, false);
    expect(memmap.test(page, PageFlag.buddy)).toBe(true);
    expect(memmap.freeBlockOrder(page, NORMAL)).toBe(3);
    expect(memmap.freeBlockType(page)).toBe(1);
    expect([2, 3, 4].map((order) => memmap.isFreeBlock(page, NORMAL, order))).toEqual([false, true, false]);
  });

  test("of another zone is no buddy", () => {
    const memmap = smallMemMap();
    const page = nth(memmap, 8);
    memmap.lists.addFreeBlock(memmap.lists.create(), page, 3, 1, false);
    expect(memmap.isFreeBlock(page, NORMAL + 1, 3)).toBe(false);
    expect(memmap.freeBlockOrder(page, NORMAL + 1)).toBe(-1);
  });

  test("goes to the head of its list, or to the tail", () => {
    const memmap = smallMemMap();
    const { lists } = memmap;
    const list = lists.create();
    for (const [n, toTail] of [
      [1, false],
      [2, true],
      [3, false],
      [4, true],
    ] as const) {
      lists.addFreeBlock(list, nth(memmap, n), 0, 0, toTail);
    }
    const order = [3, 1, 2, 4].map((n) => nth(memmap, n));
    expect([...lists.pages(list)]).toEqual(order);
    expect(backwards(memmap, list)).toEqual(order.toReversed());
    expect(lists.count(list)).toBe(4);
  });

  test("that is taken is a plain page again, on no list", () => {
    const memmap = smallMemMap();
    const { lists } = memmap;
    const list = lists.create();
    const page = nth(memmap, 8);
    const before = [memmap.flags(page), memmap.private(page), memmap.index(page)];
    lists.addFreeBlock(list, page, 3, 1, true);
    lists.removeFreeBlock(list, page);
    expect([memmap.flags(page), memmap.private(page), memmap.index(page)]).toEqual(before);
    expect(memmap.freeBlockOrder(page, NORMAL)).toBe(-1);
    expect([lists.count(list), lists.linked(page)]).toEqual([0, false]);
  });

  test("that is freed twice is a bug, and keeps the marks of the first time", () => {
    const memmap = smallMemMap();
    const list = memmap.lists.create();
    memmap.lists.addFreeBlock(list, nth(memmap, 8), 3, 1, true);
    expect(() => memmap.lists.addFreeBlock(list, nth(memmap, 8), 0, 0, true)).toThrow(KernelBug);
    expect(memmap.freeBlockOrder(nth(memmap, 8), NORMAL)).toBe(3);
  });

  test("is not to be found in struct pages that aren't initialised: buddies are looked up before they are known", () => {
    const memmap = smallMemMap();
    memmap.poisonRange(nth(memmap, 8), 1);
    expect(memmap.isFreeBlock(nth(memmap, 8), NORMAL, 0)).toBe(false);
    expect(memmap.freeBlockOrder(nth(memmap, 8), 0)).toBe(-1);
  });
});
