// Obligations of swap slots. Kernel counterparts: __mem_cgroup_try_charge_swap(), __mem_cgroup_uncharge_swap() and
// mem_cgroup_swapin_charge_folio() in mm/memcontrol.c.
import type { Sleeps } from "@hetmem/kernel";
import { type Process, readUser } from "@hetmem/mm";
import { at } from "../machine.ts";
import { demand } from "../violation.ts";
import { charges, discard, mmOf, obligation, pageout, spawn, total, touch, type Trial } from "./trial.ts";

export const givesSlotsBack = obligation({
  name: "gives swap slots back",
  sentence: "A swap slot that becomes free comes off the account that it was charged to.",
  *try(trial) {
    const { subject, first, second } = trial;
    if (subject.slots === undefined) return;
    const process = yield* spawn(trial, first);
    const before = subject.slots(first);
    yield* touch(process, 0, 3);
    yield* pageout(process, 0, 3);
    mmOf(process).payer = second;
    yield* discard(process, 0, 3);
    const [left, wrong] = [subject.slots(first) - before, subject.slots(second)];
    demand(left === 0, `3 slots are free again, and ${left} of them are charged`);
    demand(wrong === 0, `slots are free again, and ${wrong} are charged to a payer that had none`);
  },
});

export const chargesTheOwnerOfASlot = obligation({
  name: "charges a swap-in to the owner of the slot",
  sentence:
    "A page that comes back from swap is charged, and where slots have owners, to the owner of its slot.",
  *try(trial) {
    const { first, second } = trial;
    const { process, paid, ofSlot } = yield* swapOut(trial, first);
    mmOf(process).payer = second;
    const before = charges(trial);
    yield* readBack(process);
    const [toFirst, toSecond] = charges(trial).map((now, i) => now - (before[i] ?? 0));
    const sum = (toFirst ?? 0) + (toSecond ?? 0);
    demand(sum === paid, `a page was charged as ${paid} pages, and as ${sum} when it came back from swap`);
    if (ofSlot)
      demand(
        toFirst === paid,
        `${toSecond} pages are charged to the process that reads, whose payer doesn't own the slot`,
      );
  },
});

export const chargesTheReader = obligation({
  name: "charges a swap-in to the reader when the owner is gone",
  sentence: "A payer that is removed is charged no more: the process that reads a slot of it pays.",
  *try(trial) {
    const { first, second, subject } = trial;
    if (subject.remove === undefined) return;
    const { process } = yield* swapOut(trial, first);
    mmOf(process).payer = second;
    subject.remove(first);
    const before = subject.charged(first);
    yield* readBack(process);
    const more = subject.charged(first) - before;
    demand(more <= 0, `${more} pages are charged to a payer that is gone`);
  },
});

interface SwappedOut {
  readonly process: Process;
  /** Pages that the page was charged as. */
  readonly paid: number;
  /** Whether its slot is charged to the payer. */
  readonly ofSlot: boolean;
}

/** A process whose page 0 is in swap. */
function* swapOut(trial: Trial, payer: number): Sleeps<SwappedOut> {
  const { subject } = trial;
  const process = yield* spawn(trial, payer);
  const [before, slots] = [total(trial), subject.slots?.(payer) ?? 0];
  yield* touch(process, 0, 1);
  const paid = total(trial) - before;
  yield* pageout(process, 0, 1);
  return { process, paid, ofSlot: (subject.slots?.(payer) ?? 0) > slots };
}

function* readBack(process: Process): Sleeps<void> {
  const signal = yield* readUser(process, at(0), new Uint8Array(1));
  demand(signal === undefined, `a page comes back from swap, and the process gets ${signal?.signo}`);
}
