// Obligations of pages that change: huge pages and their parts, pages that move, and the lists that pages are on. Kernel
// counterparts: split_page_memcg(), mem_cgroup_migrate() and folio_lruvec() in mm/memcontrol.c.
import { bugOn, MiB, nodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { MigrateMode, migratePages, MigrateReason, migrationTarget } from "@hetmem/migrate";
import { trylockPage, unlockPage, type Vm } from "@hetmem/mm";
import { HPAGE_PMD_NR, splitHugePage } from "@hetmem/mm/huge";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { at } from "../machine.ts";
import { demand } from "../violation.ts";
import {
  charges,
  discard,
  mapPages,
  mmOf,
  obligation,
  pageAt,
  pageout,
  releasedBy,
  spawn,
  total,
  touch,
} from "./trial.ts";

/** Room for two huge pages, on a machine that gives them to every process. */
const HUGE = { ram: 16 * MiB, tunables: { transparentHugepage: "always" } } as const;
/** The first page of a range of 2 MiB of a process. */
const HUGE_AT = HPAGE_PMD_NR;

export const countsHugePages = obligation({
  name: "counts a huge page by its size",
  sentence: "A huge page is charged as 512 pages, and comes off the account as 512.",
  ...HUGE,
  *try(trial) {
    const process = yield* spawn(trial, trial.first);
    const small = -(yield* releasedBy(trial, () => touch(process, 0, 1)));
    yield* mapPages(mmOf(process), HUGE_AT, HPAGE_PMD_NR);
    const before = total(trial);
    yield* touch(process, HUGE_AT, 1);
    const huge = total(trial) - before;
    demand(
      huge >= small * HPAGE_PMD_NR,
      `a huge page is charged as ${huge} pages, where a small one is charged as ${small}`,
    );
    yield* discard(process, HUGE_AT, HPAGE_PMD_NR);
    // A page table comes with a huge page, and another obligation covers those.
    const [left, tables] = [total(trial) - before, huge - small * HPAGE_PMD_NR];
    demand(left <= tables, `a huge page is freed, and ${left} pages of ${huge} are still charged`);
  },
});

export const splitsCharges = obligation({
  name: "shares a charge out at a split",
  sentence: "After a split, each part of a huge page is freed as any small page is.",
  ...HUGE,
  *try(trial) {
    const { vm } = trial.machine;
    const process = yield* spawn(trial, trial.first);
    yield* mapPages(mmOf(process), HUGE_AT, HPAGE_PMD_NR);
    yield* touch(process, HUGE_AT, 1);
    yield* touch(process, 0, 1);
    const small = yield* releasedBy(trial, () => discard(process, 0, 1));
    const head = pageAt(process, at(HUGE_AT));
    vm.memmap.getPage(head);
    bugOn(!trylockPage(vm.memmap, head), "the huge page of a trial is locked");
    bugOn(!(yield* splitHugePage(vm, head)), "the huge page of a trial can't be split");
    unlockPage(vm.memmap, head);
    vm.memmap.putPage(head);
    for (const part of [HUGE_AT, HUGE_AT + 1, HUGE_AT + HPAGE_PMD_NR - 1]) {
      const released = yield* releasedBy(trial, () => discard(process, part, 1));
      demand(
        released === small,
        `part ${part - HUGE_AT} of a huge page takes ${released} pages off the account, and another page ${small}`,
      );
    }
  },
});

export const movesCharges = obligation({
  name: "moves a charge with its page",
  sentence:
    "A page that moves is charged once and to its payer, before, meanwhile and after, and its old frame to nobody.",
  *try(trial) {
    const { vm } = trial.machine;
    const process = yield* spawn(trial, trial.first);
    yield* touch(process, 0, 2);
    // The old frame is freed without a charge, as a page of the kernel is.
    const ofUncharged = yield* releasedBy(trial, () => freeUncharged(vm));
    const before = charges(trial);
    const page = pageAt(process, at(0));
    bugOn(!vm.lru.isolate(page), "the page of a trial is on no list");
    const target = migrationTarget(vm, { gfp: GFP_HIGHUSER_MOVABLE });
    const { failed } = yield* migratePages(vm, [page], target, MigrateMode.Sync, MigrateReason.Compaction);
    bugOn(failed.length > 0, `the page of a trial ${failed[0]?.reason}`);
    const [payer, other] = charges(trial);
    demand(
      payer === before[0] - ofUncharged && other === before[1],
      `a page has moved, and its payer has ${payer} pages, not ${before[0]}; the other ${other}, not ${before[1]}`,
    );
    const usual = yield* releasedBy(trial, () => discard(process, 1, 1));
    const moved = yield* releasedBy(trial, () => discard(process, 0, 1));
    demand(
      moved === usual,
      `a page that has moved takes ${moved} pages off the account, and another ${usual}`,
    );
  },
});

export const keepsLists = obligation({
  name: "leaves a page on its list",
  sentence: "The lruvec of a page is one of its node, and the same as long as the page is on a list.",
  *try(trial) {
    const { vm } = trial.machine;
    if (vm.charging.lruvec === undefined) return;
    const process = yield* spawn(trial, trial.first);
    yield* touch(process, 0, 2);
    const page = pageAt(process, at(0));
    const id = lruvecOf(vm, page);
    demand(
      vm.lru.findLruvec(id)?.node === vm.memmap.nodeOf(page),
      `page ${page} is on lruvec ${id}, which its node doesn't have`,
    );
    mmOf(process).payer = trial.second;
    yield* touch(process, 2, 2);
    yield* pageout(process, 1, 1);
    const now = lruvecOf(vm, page);
    demand(now === id, `page ${page} was put on lruvec ${id}, and is looked for on ${now}`);
  },
});

function* freeUncharged(vm: Vm): Sleeps<void> {
  vm.pages.put(vm.pages.tryAlloc(GFP_HIGHUSER_MOVABLE, 0, nodeId(0), undefined));
}

function lruvecOf(vm: Vm, page: Page): number {
  const { charging, memmap } = vm;
  return charging.lruvec?.(page, memmap.nodeOf(page)) ?? -1;
}
