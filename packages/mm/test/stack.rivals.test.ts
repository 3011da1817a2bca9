// Stacks grow while pages of them move: whoever looks for all mappings of a page finds those that change their place.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { assertInvariants, KernelBug, MiB, nodeId, run, type Sleeps } from "@hetmem/kernel";
import { MbindFlag, movePages } from "@hetmem/migrate";
import { MmuNotifier, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { bytes, read, RW, write } from "@hetmem/test-machines/files";
import { at, mapPages } from "@hetmem/test-machines/mappings";
import { mmOf, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { takeCensus } from "../src/census.ts";
import { vmInvariants } from "../src/invariants.ts";
import { writeUser } from "../src/process/access.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { MapFlag } from "../src/vma/map-flags.ts";

const PLAN = rivalsPlan(process.env);

function scenario(): Scenario {
  const machine = vmMachine({ nodes: [8 * MiB, 8 * MiB] });
  const { vm, kernel, freePages } = machine;
  const free = freePages();
  const parent = machine.spawn();
  mapPages(parent, 1000, 1, RW, MapFlag.GROWSDOWN);
  write(parent, at(1000), "stack");
  // Somebody listens, so that the page doesn't move in one step.
  run(mmuNotifierRegister(new MmuNotifier({}, undefined), mmOf(parent)));
  const children = [run(forkProcess(parent)), run(forkProcess(parent))];
  const grow = function* (child: Process | undefined): Sleeps<void> {
    if (child) yield* writeUser(child, at(990), bytes("deep"));
  };
  return {
    kernel,
    tasks: {
      move: () => movePages(parent, [at(1000)], [nodeId(1)], [], MbindFlag.MOVE_ALL),
      first: () => grow(children[0]),
      second: () => grow(children[1]),
    },
    // What is lost on its way stays lost: it is looked at in the end.
    afterStep() {},
    afterwards() {
      assertInvariants(vm, vmInvariants);
      const left = takeCensus(vm).migrating.size;
      if (left !== 0) throw new KernelBug(`${left} pages never arrive`);
      for (const process of [parent, ...children])
        if (read(process, at(1000), 5) !== "stack") throw new KernelBug(`lost by ${process.pid}`);
      for (const process of vm.processes) run(exitProcess(process));
      if (freePages() !== free) throw new KernelBug(`${free - freePages()} pages are lost`);
    },
  };
}

test("a stack that grows while a page of it moves gets the page where it is then", () => {
  const { endings, schedules } = runRivals(scenario, PLAN);
  expect(endings.get("move: done")).toBe(schedules);
  expect(endings.get("first: done")).toBe(schedules);
});
