// Obligations at a limit. Kernel counterpart: try_charge_memcg() and mem_cgroup_handle_over_high() in mm/memcontrol.c.
import { runSchedule } from "@hetmem/explore";
import { nodeId, run } from "@hetmem/kernel";
import { allocMm, exitToUserMode, type MmStruct } from "@hetmem/mm";
import type { Obligation } from "../conformance.ts";
import { freePages } from "../machine.ts";
import { finishes } from "../steps.ts";
import { demand } from "../violation.ts";
import type { ChargingUnderTest } from "./charging.ts";
import { createTrial, fill, obligation, spawn, touch, type Trial } from "./trial.ts";

/** Pages that a limit leaves room for. */
const ROOM = 3;
/** Allocations of each of two rivals. */
const EACH = 6;

export const leavesNothingOfARefusal = obligation({
  name: "leaves nothing of a refused charge",
  sentence:
    "An allocation that a limit refuses ends without a page, and neither memory nor an account has changed.",
  *try(trial) {
    const mm = limited(trial, trial.first);
    if (mm === undefined) return;
    const { pages, end } = yield* fill(trial, mm);
    if (end !== "refused") return;
    const [charged, free] = [trial.subject.charged(trial.first), freePages(trial.machine)];
    yield* fill(trial, mm);
    const after = trial.subject.charged(trial.first);
    demand(after === charged, `a charge is refused, and the account has ${after} pages, and not ${charged}`);
    demand(freePages(trial.machine) === free, "a charge is refused, and its page isn't free again");
    for (const page of pages) trial.machine.vm.pages.put(page);
    const again = yield* fill(trial, mm);
    demand(
      again.pages.length === pages.length,
      `${pages.length} pages are given back, and ${again.pages.length} may be had`,
    );
  },
});

export const holdsItsLimit = obligation({
  name: "admits no page past its limit",
  sentence: "Whether tryCharge() or charge() answers, pages past the limit are refused.",
  *try(trial) {
    const mm = limited(trial, trial.first);
    if (mm === undefined) return;
    const { pages } = yield* fill(trial, mm);
    demand(
      pages.length <= ROOM,
      `the limit leaves room for ${ROOM} pages, and ${pages.length} are allocated`,
    );
  },
});

export const holdsItsLimitAgainstRivals: Obligation<ChargingUnderTest> = {
  name: "holds its limit while others charge",
  sentence: "Two processes that allocate at once get no more than one alone.",
  attempt(subject, seed) {
    runSchedule((next) => {
      const trial = createTrial(subject, next);
      const [alone, shared] = [limited(trial, trial.second), limited(trial, trial.first)];
      const most = alone === undefined ? 0 : run(fill(trial, alone, 2 * EACH)).pages.length;
      let allocated = 0;
      const rival = function* () {
        const { pages } = shared === undefined ? { pages: [] } : yield* fill(trial, shared, EACH);
        allocated += pages.length;
      };
      return {
        kernel: trial.machine.kernel,
        tasks: { one: rival, other: rival },
        afterStep: () => {},
        afterwards: () =>
          demand(allocated <= most, `one process gets ${most} pages, and two at once ${allocated}`),
      };
    }, seed);
  },
};

export const ends = obligation({
  name: "ends where it can't admit",
  sentence: "charge() may wait and reclaim, and then it answers, whether or not a page becomes free.",
  *try(trial) {
    const mm = limited(trial, trial.first);
    if (mm === undefined) return;
    const { end } = yield* fill(trial, mm);
    demand(end !== "endless", "a charge over the limit goes on and on: nothing that it waits for happens");
  },
});

export const letsReturn = obligation({
  name: "lets a process return to user mode",
  sentence: "The work that a process does for its account before it returns ends.",
  *try(trial) {
    const { charging, limit, charged } = trial.subject;
    if (charging.handleOverHigh === undefined || limit === undefined) return;
    const process = yield* spawn(trial, trial.first);
    limit.call(trial.subject, trial.first, charged.call(trial.subject, trial.first) + ROOM);
    const returned = yield* finishes(useAndReturn());
    demand(returned !== undefined, "a process near its limit never comes back from the kernel");
    function* useAndReturn() {
      yield* touch(process, 0, ROOM);
      yield* exitToUserMode(process);
    }
  },
});

/** An address space of a payer that may have ROOM further pages; undefined where there are no limits. */
function limited({ machine: { vm }, subject }: Trial, payer: number): MmStruct | undefined {
  const mm = allocMm(vm, nodeId(0), 0, payer);
  if (subject.limit === undefined || mm === undefined) return undefined;
  subject.limit(payer, subject.charged(payer) + ROOM);
  return mm;
}
