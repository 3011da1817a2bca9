// Processes that want more memory than there is, beside each other, with and without swap: some are killed, nobody else
// loses a byte, and when all have ended everything is free again.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, condResched, MiB, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { exitProcess, type Process, vmInvariants, writeUser } from "@hetmem/mm";
import { type ShortMachine, shortMachine } from "@hetmem/test-machines/short-machine";
import { pageAt } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { swapInvariants } from "../src/swap/invariants.ts";

/** Each schedule is thousands of faults. */
const PLAN = rivalsPlan(process.env, 40);
const PAGES = 900;

/** Three processes of 900 pages each on a machine of 2,000. */
function greedy(swap: number | undefined): { readonly scenario: Scenario; readonly machine: ShortMachine } {
  const machine = shortMachine({ nodes: [8 * MiB], ...(swap === undefined ? {} : { swap }) });
  const before = machine.freePages();
  const writers = ["a", "b", "c"].map((name) => {
    const owner = machine.spawn(name);
    return { owner, start: machine.map(owner, PAGES) };
  });
  const scenario: Scenario = {
    kernel: machine.kernel,
    tasks: Object.fromEntries(
      writers.map(({ owner, start }) => [owner.comm, () => writeAll(machine, owner, start)]),
    ),
    // A schedule is thousands of faults: it is looked at in the end.
    afterStep: () => {},
    afterwards: () => {
      assertInvariants(machine.vm, [...vmInvariants, ...swapInvariants]);
      for (const { owner, start } of writers) {
        if (!owner.killed) expect(machine.damaged(owner, start, PAGES, owner.pid)).toEqual([]);
        machine.run(exitProcess(owner));
      }
      expect(machine.freePages()).toBeGreaterThanOrEqual(before);
      expect(machine.vm.swap.freePages).toBe(machine.vm.swap.totalPages);
    },
  };
  return { scenario, machine };
}

function* writeAll({ event }: ShortMachine, owner: Process, start: VirtAddr): Sleeps<void> {
  for (let i = 0; i < PAGES && !owner.killed; i++) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(0, i + 1);
    new DataView(bytes.buffer).setUint32(4, owner.pid + 1);
    yield* writeUser(owner, pageAt(start, i), bytes);
    if (i % 50 === 0) yield condResched;
  }
  if (owner.killed) expect(event("oom_kill")).toBeGreaterThan(0);
}

test("without swap somebody is killed, and the others end with what they wrote", () => {
  let kills = 0;
  const { schedules } = runRivals(() => {
    const { scenario, machine } = greedy(undefined);
    return {
      ...scenario,
      afterwards() {
        kills += machine.event("oom_kill");
        scenario.afterwards();
      },
    };
  }, PLAN);
  expect(kills).toBeGreaterThanOrEqual(schedules);
});

test("with swap nobody is killed", () => {
  runRivals(() => {
    const { scenario, machine } = greedy(16 * MiB);
    return { ...scenario, afterStep: () => expect(machine.event("oom_kill")).toBe(0) };
  }, PLAN);
});
