// What looks for the pages of a process, or waits for them, beside whoever takes them away: see rivals-of-paths.ts.
import { getUserPages, getUserPagesFast, pinUserPages, putUserPages, unpinUserPages } from "@hetmem/gup";
import { condResched, nodeId, type Page } from "@hetmem/kernel";
import { scanForHints } from "@hetmem/migrate";
import { fsyncRange, truncate } from "@hetmem/page-cache";
import { ClearRefs, clearRefs, smapsText } from "@hetmem/proc-pid";
import { ANON, anyArea, FILE, PAGES, readAll, SHMEM, writeAndCheck } from "@hetmem/test-machines/rival-world";
import { testPaths } from "@hetmem/test-machines/rivals-of-paths";
import { mmOf, PAGE, pageAt } from "@hetmem/test-machines/vm-machine";
import { makeDeviceExclusiveRange } from "@hetmem/hmm-mirror";
import { madvise } from "@hetmem/madvise";
import { Madv } from "../src/vma/map-flags.ts";

testPaths({
  *"a write to pages of files"(world) {
    yield* writeAndCheck(world.parent, FILE, 102);
    yield* writeAndCheck(world.parent, SHMEM, 103);
  },
  *"a read of pages that are in swap"({ parent }) {
    yield* madvise(mmOf(parent), ANON, PAGES * PAGE, Madv.PAGEOUT);
    yield* readAll(parent, ANON);
    yield* writeAndCheck(parent, ANON, 104);
  },
  *"get_user_pages, slow and fast, and a pin"(world) {
    const { machine, parent, random } = world;
    const mm = mmOf(parent);
    const pages = new Int32Array(3);
    const got = yield* getUserPagesFast(mm, anyArea(world), 3, { write: true }, pages);
    yield condResched;
    putUserPages(machine.vm, pages as never, got);
    yield* mm.mmapLock.downRead();
    let pinned: Page[];
    try {
      putUserPages(machine.vm, yield* getUserPages(mm, anyArea(world), 3, { write: true }));
      pinned = yield* pinUserPages(mm, ANON, 2, { write: true });
    } finally {
      mm.mmapLock.upRead();
    }
    for (let i = random.below(12); i > 0; i--) yield condResched;
    unpinUserPages(machine.vm, pinned);
  },
  *"a truncation"({ memfd, file, parent }) {
    yield* truncate(memfd.host, PAGE);
    yield* truncate(file.host, 2 * PAGE);
    yield* truncate(file.host, PAGES * PAGE);
    yield* readAll(parent, FILE);
  },
  *writeback({ file, parent }) {
    yield* fsyncRange(file.mapping);
    yield* writeAndCheck(parent, FILE, 105);
    yield* fsyncRange(file.mapping);
  },
  *"a look at smaps and clear_refs"({ parent }) {
    yield* smapsText(mmOf(parent));
    yield* clearRefs(mmOf(parent), ClearRefs.softDirty);
    yield* writeAndCheck(parent, ANON, 106);
  },
  *"NUMA hints"({ parent }) {
    mmOf(parent).node = nodeId(1);
    yield* scanForHints(mmOf(parent), 512);
    yield* readAll(parent, ANON);
    yield* readAll(parent, SHMEM);
  },
  *"device-exclusive access"({ machine, parent }) {
    const { mmapLock } = mmOf(parent);
    yield* mmapLock.downRead();
    let pages;
    try {
      pages = yield* makeDeviceExclusiveRange(mmOf(parent), ANON, pageAt(ANON, 2), undefined);
    } finally {
      mmapLock.upRead();
    }
    for (const page of pages) {
      if (page === 0) continue;
      machine.vm.memmap.clear(page, 1);
      machine.vm.memmap.putPage(page);
    }
    yield* readAll(parent, ANON);
  },
});
