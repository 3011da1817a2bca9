// Obligations about pages that are in use: their contents, those that must stay, and those that a caller has isolated. Kernel
// counterparts: shrink_folio_list() and reclaim_pages() in mm/vmscan.c.
import { pinUserPages } from "@hetmem/gup";
import { PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { mlock, type Process, readUser } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { createDiskFile, fileRead, fileVmOps, fileWrite, OpenFile } from "@hetmem/page-cache";
import { at, freePages } from "../machine.ts";
import { demand } from "../violation.ts";
import { contentsOf, isolate, mapped, mmOf, obligation, press, spawn, type Trial } from "./trial.ts";

/** Pages of a process that are looked at, and those that reclaim may take besides. */
const FEW = 6;
const MANY = 64;

export const keepsContents = obligation({
  name: "keeps what processes have written",
  sentence: "A page that reclaim has taken comes back with what was written to it.",
  *try(trial) {
    const process = yield* spawn(trial, MANY);
    yield* press(trial, MANY);
    for (let i = 0; i < MANY && !process.killed; i++) {
      const found = new Uint8Array(4);
      const signal = yield* readUser(process, at(i), found);
      const same = contentsOf(process, i).every((byte, offset) => byte === found[offset]);
      demand(signal === undefined && same, `page ${i} reads ${found.join(" ")} ${signal?.signo ?? ""}`);
    }
  },
});

export const writesFilesBack = obligation({
  name: "writes files back before it drops their pages",
  sentence: "A page of a file that was written to is on disk before its memory is used for something else.",
  *try(trial) {
    const { vm } = trial;
    const inode = createDiskFile(vm, 7, new Uint8Array(0));
    const file = new OpenFile(inode, { path: "/data", writable: true, vmOps: fileVmOps });
    const written = new Uint8Array(FEW * PAGE_SIZE).map((_, i) => (i >> 12) + 1);
    yield* fileWrite(file, 0, written);
    yield* spawn(trial, MANY);
    yield* press(trial, MANY);
    const read = yield* fileRead(file, 0, written.length);
    const wrong = written.findIndex((byte, i) => byte !== read[i]);
    demand(wrong < 0, `byte ${wrong} of the file was written as ${written[wrong]}, and reads ${read[wrong]}`);
  },
});

export const leavesLocked = obligation({
  name: "leaves mlocked pages",
  sentence: "A page that a process has locked stays where it is, however short memory is.",
  *try(trial) {
    const process = yield* spawn(trial, FEW);
    yield* mlock(mmOf(process), at(0), FEW * PAGE_SIZE);
    yield* staysUnder(trial, process, "mlocked");
  },
});

export const leavesPinned = obligation({
  name: "leaves pinned pages",
  sentence: "A page that a device reads and writes stays where it is, and in the page table.",
  *try(trial) {
    const process = yield* spawn(trial, FEW);
    const mm = mmOf(process);
    yield* mm.mmapLock.downRead();
    yield* pinUserPages(mm, at(0), FEW, { write: true, longterm: true });
    mm.mmapLock.upRead();
    yield* staysUnder(trial, process, "pinned");
  },
});

export const givesBack = obligation({
  name: "gives isolated pages back",
  sentence:
    "A page that reclaimPages() doesn't free is on a list again, without the reference of its isolation.",
  swapping: false,
  *try(trial) {
    const { vm, reclaim } = trial;
    const process = yield* spawn(trial, FEW);
    const pages = isolate(trial, process, FEW);
    yield* reclaim.reclaimPages(pages);
    for (let i = 0; i < FEW; i++) {
      const page = mapped(process, i);
      if (page === undefined) continue;
      const [listed, references] = [vm.memmap.test(page, PageFlag.lru), vm.memmap.refcount(page)];
      demand(listed, `page ${i} was isolated, and is on no list`);
      demand(references === 1, `page ${i} was isolated, and has ${references} references`);
    }
  },
});

export const countsFreed = obligation({
  name: "counts the pages that it frees",
  sentence: "reclaimPages() returns the number of small pages that became free, and not those that stayed.",
  *try(trial) {
    const { vm, reclaim, machine } = trial;
    const process = yield* spawn(trial, FEW);
    const pages = isolate(trial, process, FEW);
    const [held] = pages;
    if (held !== undefined) vm.memmap.getPage(held);
    const before = freePages(machine);
    const counted = yield* reclaim.reclaimPages(pages);
    const freed = freePages(machine) - before;
    demand(counted === freed, `${freed} pages became free, and ${counted} are counted`);
  },
});

/** Presses, and looks that the process has the same pages then. */
function* staysUnder(trial: Trial, process: Process, how: string): Sleeps<void> {
  const before = Array.from({ length: FEW }, (_, i) => mapped(process, i));
  yield* spawn(trial, MANY);
  yield* press(trial, MANY);
  for (const [i, page] of before.entries()) {
    const now = mapped(process, i);
    demand(now === page, `page ${i}, which is ${how}, was ${page} and is ${now ?? "gone"}`);
  }
}
