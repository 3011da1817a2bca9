// Obligations of who pays, and that each charge is undone once. Kernel counterparts: mem_cgroup_charge(), uncharge_folio() and
// uncharge_batch() in mm/memcontrol.c.
import { nodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { exitProcess, forkProcess, type Process, readUser } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { at } from "../machine.ts";
import { demand } from "../violation.ts";
import { charges, discard, mapPages, mmOf, obligation, pageAt, spawn, touch, type Trial } from "./trial.ts";

export const chargesThePayer = obligation({
  name: "charges the payer of the moment",
  sentence:
    "A page is charged to the account that its address space pays from when the page is allocated, and to no other.",
  *try(trial) {
    const process = yield* spawn(trial, trial.first);
    const ofFirst = yield* chargeOf(trial, () => touch(process, 0, 2));
    demand(
      ofFirst[0] === 0 || ofFirst[0] === 2,
      `2 pages are new, and ${ofFirst[0]} are charged to the payer`,
    );
    demand(ofFirst[1] === 0, `${ofFirst[1]} pages are charged to an account that has no process`);
    mmOf(process).payer = trial.second;
    const ofSecond = yield* chargeOf(trial, () => touch(process, 2, 2));
    demandAccounts("the process has gone to another payer", ofSecond, [0, ofFirst[0]]);
    const child = yield* forkProcess(process);
    mmOf(child).payer = trial.first;
    const ofCopies = yield* chargeOf(trial, () => touch(child, 0, 2));
    demandAccounts("a child has copies of 2 pages of its parent", ofCopies, [ofFirst[0], 0]);
  },
});

export const givesBackToThePayer = obligation({
  name: "gives back to the payer that paid",
  sentence:
    "A page that is freed comes off the account that it was charged to, wherever its process pays by then.",
  *try(trial) {
    const process = yield* spawn(trial, trial.first);
    const before = charges(trial);
    yield* touch(process, 0, 3);
    mmOf(process).payer = trial.second;
    for (let i = 0; i < 3; i++) yield* freeAlone(trial, process, i);
    demandAccounts("3 pages are freed, one by one", charges(trial), before);
  },
});

export const givesBackBatches = obligation({
  name: "gives back a batch of several payers",
  sentence: "Pages that are freed together come off the accounts of each of them.",
  *try(trial) {
    const parent = yield* spawn(trial, trial.first);
    const untouched = charges(trial)[0];
    yield* touch(parent, 0, 4);
    const paid = charges(trial)[0] - untouched;
    const child = yield* forkProcess(parent);
    const before = charges(trial);
    mmOf(child).payer = trial.second;
    // The child's table maps a page of its own between those of its parent.
    yield* touch(child, 1, 1);
    yield* discard(parent, 0, 4);
    yield* discard(child, 0, 4);
    demandAccounts("pages of two payers are freed together", charges(trial), [before[0] - paid, before[1]]);
  },
});

export const leavesUnchargedAlone = obligation({
  name: "leaves pages alone that nobody paid for",
  sentence: "A page of the kernel is freed as those of processes are, and comes off no account.",
  *try(trial) {
    const { machine } = trial;
    yield* spawn(trial, trial.first);
    const before = charges(trial);
    const page = machine.vm.pages.tryAlloc(GFP_HIGHUSER_MOVABLE, 0, nodeId(0), undefined);
    demand(page !== NULL_PAGE, "the kernel gets no page, and is not charged");
    demandAccounts("the kernel has a page", charges(trial), before);
    machine.vm.pages.put(page);
    demandAccounts("a page of the kernel is freed", charges(trial), before);
  },
});

export const givesKernelPagesBack = obligation({
  name: "gives kernel pages back",
  sentence:
    "Page tables and the stack of a process come off the account that they were charged to when it exits.",
  *try(trial) {
    const before = charges(trial);
    const process = yield* spawn(trial, trial.first);
    yield* discard(process, 0, 8);
    // Each read needs tables of its own, and maps the zero page, which nobody pays for.
    for (const page of [1 << 18, 2 << 18, 3 << 18]) {
      yield* mapPages(mmOf(process), page, 1);
      yield* readUser(process, at(page), new Uint8Array(1));
    }
    yield* exitProcess(process);
    demandAccounts("the process has exited", charges(trial), before);
  },
});

/** Pages that a task adds to the accounts. */
function* chargeOf(trial: Trial, body: () => Sleeps<unknown>): Sleeps<readonly [number, number]> {
  const before = charges(trial);
  yield* body();
  const after = charges(trial);
  return [after[0] - before[0], after[1] - before[1]];
}

/** Frees a page of a process by itself: another reference is the last one. */
function* freeAlone({ machine: { vm } }: Trial, process: Process, i: number): Sleeps<void> {
  const page: Page = pageAt(process, at(i));
  vm.memmap.getPage(page);
  yield* discard(process, i, 1);
  vm.pages.put(page);
}

function demandAccounts(
  when: string,
  [first, second]: readonly [number, number],
  [wanted, wantedSecond]: readonly [number, number],
): void {
  demand(first === wanted, `${when}: the first payer has ${first} pages, and not ${wanted}`);
  demand(second === wantedSecond, `${when}: the second payer has ${second} pages, and not ${wantedSecond}`);
}
