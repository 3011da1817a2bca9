// Obligations towards other tasks of the address space: fork, munmap and mprotect come at any time, and mean for the device
// what they mean for the cpu. Kernel counterpart: the cases of tools/testing/selftests/vm/hmm-tests.c that fork and
// protect.
import { assertInvariants, PAGE_SIZE, run, type Sleeps } from "@hetmem/kernel";
import { exitProcess, forkProcess, mprotect, munmap, Prot, vmInvariants } from "@hetmem/mm";
import type { Obligation } from "../conformance.ts";
import { demand } from "../violation.ts";
import type { DriverUnderTest } from "./driver.ts";
import { at } from "../machine.ts";
import {
  cpuRead,
  deviceRead,
  deviceWrite,
  firstByte,
  insist,
  mapPages,
  may,
  migrateBack,
  migrateTo,
  must,
  PAGES,
  type Trial,
} from "./trial.ts";
import { race } from "./obligation.ts";

export const survivesCompany: Obligation<DriverUnderTest> = race({
  name: "survives fork, munmap and mprotect",
  sentence:
    "A mapping that is shared, protected or gone is so for the device, too, and no count is wrong afterwards.",
  scenario(trial) {
    run(migrateTo(trial, 0, 2));
    let steps = 0;
    return {
      tasks: { device: () => useAll(trial), process: () => change(trial) },
      afterStep() {
        if (steps++ % 4 === 0) assertInvariants(trial.machine.vm, vmInvariants);
      },
      afterwards() {
        assertInvariants(trial.machine.vm, vmInvariants);
        run(demandMeaning(trial));
      },
    };
  },
});

function* useAll(trial: Trial): Sleeps<void> {
  const { random } = trial;
  for (let i = 0; i < 3; i++) {
    yield* may(deviceRead(trial, at(random.below(PAGES))));
    yield* may(deviceWrite(trial, at(random.below(PAGES), 16), 1));
    yield* may(i === 1 ? migrateBack(trial) : migrateTo(trial, random.below(PAGES), 1));
  }
}

function* change({ mm, process, random, seed }: Trial): Sleeps<void> {
  const page = random.below(PAGES - 1);
  if (seed % 3 === 0) yield* exitProcess(yield* forkProcess(process));
  else if (seed % 3 === 1) yield* munmap(mm, at(page), 2 * PAGE_SIZE);
  else yield* mprotect(mm, at(page), 2 * PAGE_SIZE, Prot.READ);
}

/** Access rights of the device on fresh memory: after a fork, after mprotect, after munmap. */
function* demandMeaning(trial: Trial): Sleeps<void> {
  const { mm, process } = trial;
  yield* mapPages(trial);
  yield* must("a migration to the device", migrateTo(trial, 1, 1));
  const child = yield* forkProcess(process);
  for (const page of [0, 1]) {
    yield* insist("a read of the device", () => deviceRead(trial, at(page)));
    yield* insist("a write of the device to a shared page", () => deviceWrite(trial, at(page), 0xaa));
  }
  yield* must("a migration back", migrateBack(trial));
  for (const page of [0, 1]) {
    const [childs, own] = [yield* cpuRead(child, at(page)), yield* cpuRead(process, at(page))];
    demand(
      childs === firstByte(page),
      `the device has written to its process, and its child reads ${childs}`,
    );
    demand(own === 0xaa, `the device has written 170 to page ${page}, and the process reads ${own}`);
  }
  yield* mprotect(mm, at(2), PAGE_SIZE, Prot.READ);
  yield* insist("a read of the device", () => deviceRead(trial, at(2)));
  demand(!(yield* may(deviceWrite(trial, at(2), 0xbb))), "the device writes where the process may only read");
  yield* munmap(mm, at(3), PAGE_SIZE);
  demand(!(yield* may(deviceRead(trial, at(3)))), "the device reads where nothing is mapped");
}
