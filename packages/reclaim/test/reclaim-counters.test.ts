// What reclaim counts, and what it does with single pages that can't go: lists of a few pages of a file, looked at once.
import { MiB, type Page, run } from "@hetmem/kernel";
import { setPageDirty } from "@hetmem/mm/file";
import { LruList } from "@hetmem/mm/lru";
import { PageFlag } from "@hetmem/page";
import { fileRead } from "@hetmem/page-cache";
import { changedCounters } from "@hetmem/test-machines/counters";
import { diskFile } from "@hetmem/test-machines/files";
import { PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { GFP_KERNEL, ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";
import { reclaimOf } from "../src/reclaim.ts";
import { type Reclaimer, ScanControl } from "../src/scan-control.ts";
import { shrinkActiveList } from "../src/shrink-active.ts";
import { shrinkInactiveList } from "../src/shrink-inactive.ts";

const PAGES = 8;

/** A machine with eight pages of a file in memory, clean, mapped by nobody and inactive. */
function withFile() {
  const { vm } = vmMachine({ nodes: [64 * MiB] });
  const { file, inode } = diskFile(vm, PAGES);
  run(fileRead(file, 0, PAGES * PAGE));
  const pages = Array.from({ length: PAGES }, (_, index) => inode.mapping.pages.load(index) as Page);
  for (const page of pages) vm.memmap.clear(page, PageFlag.referenced);
  const lruvec = vm.lru.lruvecById(0);
  const scan = (reclaimer: Reclaimer, highest: number = ZoneType.Movable): ScanControl =>
    new ScanControl(reclaimOf(vm), {
      reclaimer,
      nrToReclaim: PAGES,
      gfp: GFP_KERNEL,
      highest,
      maySwap: true,
      mayDemote: false,
    });
  return {
    vm,
    pages,
    /** Looks once at the whole inactive list. */
    shrink: (reclaimer: Reclaimer, highest?: number) =>
      changedCounters(vm, () =>
        run(shrinkInactiveList(scan(reclaimer, highest), lruvec, LruList.inactiveFile, PAGES)),
      ),
    deactivate: () =>
      changedCounters(vm, () => run(shrinkActiveList(scan("direct"), lruvec, LruList.activeFile, PAGES))),
  };
}

const freed = { nr_file_pages: -PAGES, nr_inactive_file: -PAGES, nr_zone_inactive_file: -PAGES };

test.each(["direct", "kswapd"] as const)(
  "clean pages that %s reclaim meets are counted as scanned and as stolen, by who did it and by kind",
  (reclaimer) => {
    const { shrink } = withFile();
    expect(shrink(reclaimer)).toEqual({
      [`pgscan_${reclaimer}`]: PAGES,
      [`pgsteal_${reclaimer}`]: PAGES,
      pgscan_file: PAGES,
      pgsteal_file: PAGES,
      ...freed,
    });
  },
);

test("active pages that are looked at are refilled, and those that nobody runs deactivated; they will be known again", () => {
  const { deactivate, pages, vm } = withFile();
  for (const page of pages) vm.lru.activate(page);
  expect(deactivate()).toEqual({
    pgrefill: PAGES,
    pgdeactivate: PAGES,
    nr_active_file: -PAGES,
    nr_zone_active_file: -PAGES,
    nr_inactive_file: PAGES,
    nr_zone_inactive_file: PAGES,
  });
  expect(pages.every((page) => vm.memmap.test(page, PageFlag.workingset))).toBe(true);
});

test("pages of higher zones than the one that is short are skipped, and counted by their zone", () => {
  const { shrink } = withFile();
  expect(shrink("direct", ZoneType.DMA)).toEqual({
    pgskip_dma32: PAGES,
    pgscan_direct: PAGES,
    pgscan_file: PAGES,
  });
});

test("dirty pages of a file are not for direct reclaim to write one by one: they are flushed, and looked at next", () => {
  const { pages, shrink, vm } = withFile();
  for (const page of pages) setPageDirty(vm, page);
  expect(shrink("direct")).toMatchObject({
    nr_vmscan_immediate_reclaim: PAGES,
    pgactivate: PAGES,
    pgrotated: PAGES,
    nr_written: PAGES,
    nr_dirty: -PAGES,
  });
});

test("a dirty page of a file that was used once since the last look is left where it is", () => {
  const { pages, shrink, vm } = withFile();
  const [used] = pages as [Page];
  setPageDirty(vm, used);
  vm.memmap.set(used, PageFlag.referenced);
  expect(shrink("direct")).toMatchObject({ pgsteal_direct: PAGES - 1, nr_file_pages: 1 - PAGES });
  expect(vm.lru.listOf(used)).toBe(LruList.inactiveFile);
});

test("a pinned page is active again instead of being met over and over", () => {
  const { pages, shrink, vm } = withFile();
  const [pinned] = pages as [Page];
  for (let i = 0; i < 1024; i++) vm.memmap.getPage(pinned);
  expect(shrink("kswapd")).toMatchObject({ pgsteal_kswapd: PAGES - 1, pgactivate: 1, nr_active_file: 1 });
});
