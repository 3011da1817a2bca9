// Tables come with the entries that need them, and go when they are empty.
import { type Page, type Pfn, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { expect, test } from "vitest";
import { type Level, NO_ENTRY, PageTable, PMD_SIZE, TASK_SIZE } from "../src/page-table.ts";
import { Pte } from "../src/pte.ts";
import { isSwapinError, MAX_SLOTS, slotOfEntry, swapEntry, swapinErrorEntry } from "../src/swap-entry.ts";
import { TableArenas } from "../src/table-arenas.ts";

/** Tables over pages that are numbers only, of which there are so many. */
function tableOf(pages = 100, arenas = new TableArenas()) {
  let left = pages;
  const freed: Page[] = [];
  const table = new PageTable(
    {
      arenas,
      alloc: () => (left > 0 ? (left-- as Page) : (NULL_PAGE as Page)),
      free: (page) => void freed.push(page),
    },
    1000 as Page,
    0,
  );
  return { table, freed };
}

const AT = virtAddr(0x7f12_3456_7000);

test("an address has no entry before a table reaches it, and three tables bring one", () => {
  const { table } = tableOf();
  expect([table.find(AT), table.tables]).toEqual([NO_ENTRY, 1]);
  const entry = table.ensure(AT);
  expect([table.find(AT), table.tables]).toEqual([entry, 4]);
});

test("pages of the same 2 MiB share a table, and entries lie in the order of their addresses", () => {
  const { table } = tableOf();
  const base = (AT - (AT % PMD_SIZE)) as VirtAddr;
  const first = table.ensure(base);
  expect(table.ensure((base + PMD_SIZE - 4096) as VirtAddr)).toBe(first + 511);
  expect(table.tables).toBe(4);
});

test("each entry knows its address, the last page of a process too", () => {
  const { table } = tableOf();
  for (const address of [virtAddr(0), AT, virtAddr(TASK_SIZE - 4096)])
    expect(table.addressOf(table.ensure(address))).toBe(address);
});

test("without memory for a table there is no entry, and the tables made on the way stay", () => {
  const { table } = tableOf(2);
  expect([table.ensure(AT), table.tables]).toEqual([NO_ENTRY, 3]);
});

test("an entry of 2 MiB hides the small ones", () => {
  const { table } = tableOf();
  const pmd = table.ensurePmd(AT);
  table.set(pmd, 512, Pte.present | Pte.huge);
  expect([table.find(AT), table.ensure(AT)]).toEqual([NO_ENTRY, NO_ENTRY]);
  expect(table.findPmd(AT)).toBe(pmd);
});

test("a table that is taken away is found no more, though it was the last one looked up", () => {
  const { table, freed } = tableOf();
  const entry = table.ensure(AT);
  expect(table.find(AT)).toBe(entry);
  table.depopulate(table.findPmd(AT));
  expect([table.find(AT), table.tables, freed.length]).toEqual([NO_ENTRY, 3, 1]);
});

test("a watcher hears the old and the new entry with its address and level, and nothing of empty ones", () => {
  const { table } = tableOf();
  const heard: [VirtAddr, Level, number, number, number, number][] = [];
  table.watch((...change) => void heard.push(change));
  const entry = table.ensure(AT);
  table.set(entry, 7, Pte.present | Pte.write);
  table.setFlags(entry, Pte.present);
  table.clear(entry);
  expect(heard).toEqual([
    [AT, 0, 7, Pte.present | Pte.write, 7, Pte.present],
    [AT, 0, 7, Pte.present, 0, 0],
  ]);
});

test("entries keep their numbers while the array of tables grows", () => {
  const { table } = tableOf(200);
  const entry = table.ensure(AT);
  table.set(entry, 42, Pte.present);
  for (let i = 0; i < 100; i++) table.ensure((i * PMD_SIZE) as VirtAddr);
  expect([table.find(AT), table.value(entry)]).toEqual([entry, 42]);
});

test("an address space that takes the array of one that grew out of it finds it empty", () => {
  const arenas = new TableArenas();
  const { table } = tableOf(200, arenas);
  table.set(table.ensure(AT), 42, Pte.present);
  for (let i = 0; i < 100; i++) table.ensure((i * PMD_SIZE) as VirtAddr);
  const next = tableOf(3, arenas).table;
  expect([next.find(AT), next.nextPopulated(virtAddr(0), TASK_SIZE as VirtAddr)]).toEqual([
    NO_ENTRY,
    TASK_SIZE,
  ]);
  expect(next.flags(next.ensure(AT))).toBe(0);
});

test("a deposited table counts among those of the address space until it is freed", () => {
  const { table } = tableOf();
  expect([table.deposit(), table.tables]).toEqual([true, 2]);
  table.freeDeposited();
  expect(table.tables).toBe(1);
});

test("a table whose last entry alone is used isn't empty", () => {
  const { table } = tableOf();
  const last = table.ensure((511 * 4096) as VirtAddr);
  const first = table.ensure(virtAddr(0));
  expect(table.isEmpty(first)).toBe(true);
  table.set(last, 7, Pte.present);
  expect(table.isEmpty(first)).toBe(false);
});

test("an array that is too short is left for another address space", () => {
  const arenas = new TableArenas();
  arenas.give(new Int32Array(60));
  expect([arenas.take(61).length, arenas.take(60).length]).toEqual([61, 60]);
});

test("the largest arrays are kept for later address spaces, and no more than four", () => {
  const arenas = new TableArenas();
  for (const words of [600, 100, 500, 300, 200, 400]) arenas.give(new Int32Array(words));
  expect([1, 1, 1, 1].map((words) => arenas.take(words).length)).toEqual([300, 400, 500, 600]);
  expect(arenas.take(7)).toHaveLength(7);
});

test("an entry of a page that swap-in lost says so for every frame", () => {
  for (const frame of [0, 5, 2 ** 26 - 1, 2 ** 31 + 5, 2 ** 33]) {
    const entry = swapinErrorEntry(frame as Pfn);
    expect([isSwapinError(entry), slotOfEntry(entry)]).toEqual([true, frame % 2 ** 26]);
  }
  expect(isSwapinError(swapEntry(30, MAX_SLOTS - 1))).toBe(false);
});

test("the next populated 2 MiB is found wherever the search begins and ends", () => {
  const { table } = tableOf(200);
  const regions = [0, 3, 511, 512, 513, 1024 * 512, 300 * 262_144].map((region) => region * PMD_SIZE);
  for (const start of regions) table.ensure(start as VirtAddr);
  const probes = regions.flatMap((start) => [start - PMD_SIZE, start, start + 4096, start + PMD_SIZE]);
  const places = [...probes.filter((at) => at >= 0), TASK_SIZE];
  for (const address of places)
    for (const end of places.filter((place) => place >= address)) {
      const region = regions.find((start) => start + PMD_SIZE > address);
      const expected = region === undefined ? end : Math.min(Math.max(region, address), end);
      expect(table.nextPopulated(address as VirtAddr, end as VirtAddr), `${address}-${end}`).toBe(expected);
    }
});
