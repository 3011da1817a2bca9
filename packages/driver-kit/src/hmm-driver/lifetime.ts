// Obligations at the end of a process, and at the end of the driver. Kernel counterpart: mmu_notifier_release() and
// dmirror_fops_release(); devm_memunmap_pages() behind a driver's remove().
import { run, type Sleeps } from "@hetmem/kernel";
import { exitProcess, forkProcess, munmap } from "@hetmem/mm";
import { formatIomem } from "@hetmem/resource";
import type { Obligation } from "../conformance.ts";
import { demand } from "../violation.ts";
import type { DriverUnderTest } from "./driver.ts";
import { at } from "../machine.ts";
import {
  cpuRead,
  demandBytes,
  deviceRead,
  deviceWrite,
  firstByte,
  framesInUse,
  may,
  migrateBack,
  migrateTo,
  must,
  PAGES,
  type Trial,
} from "./trial.ts";
import { demandNoLeak } from "./memory.ts";
import { nothing, race } from "./obligation.ts";

export const letsGoOfAProcess: Obligation<DriverUnderTest> = race({
  name: "lets go when the process exits",
  sentence: "A process ends though its file is still open, and takes its pages in the device along.",
  scenario(trial) {
    run(migrateTo(trial, 0, 2));
    return {
      tasks: { device: () => useUntilTheEnd(trial), exit: () => exitProcess(trial.process) },
      afterStep: nothing,
      afterwards() {
        const left = framesInUse(trial);
        demand(
          !run(may(deviceRead(trial, at(0)))),
          "the process has ended, and the device still reads its memory",
        );
        demand(left === 0, `the process has ended, and ${left} of its pages are still in the device`);
        run(demandNoLeak(trial));
      },
    };
  },
});

export const letsGoOfItself: Obligation<DriverUnderTest> = race({
  name: "lets go when it is unbound",
  sentence:
    "A driver that goes leaves every page in RAM, no listener, and no range of addresses that is its own.",
  scenario(trial) {
    run(migrateTo(trial, 0, 2));
    const progress = { unbound: false };
    return {
      tasks: {
        *driver() {
          yield* must("closing the mirror", trial.mirror.close());
          progress.unbound = yield* may(trial.driver.unbind());
        },
        process: () => goOn(trial),
      },
      afterStep: nothing,
      afterwards() {
        if (!progress.unbound) run(must("unbinding the driver", trial.driver.unbind()));
        run(demandNothingLeft(trial));
      },
    };
  },
});

function* useUntilTheEnd(trial: Trial): Sleeps<void> {
  for (let i = 0; i < PAGES; i++) {
    yield* may(deviceRead(trial, at(i)));
    yield* may(deviceWrite(trial, at(i), firstByte(i)));
    yield* may(i === 0 ? migrateBack(trial) : migrateTo(trial, 0, PAGES));
  }
}

/** The process runs on while the driver is unbound: it reads, forks or unmaps. */
function* goOn(trial: Trial): Sleeps<void> {
  const { mm, process, seed } = trial;
  for (let i = 0; i < PAGES; i++) yield* cpuRead(process, at(i));
  if (seed % 2 === 0) yield* exitProcess(yield* forkProcess(process));
  if (seed % 4 === 1) yield* munmap(mm, at(PAGES), 4096);
}

function* demandNothingLeft(trial: Trial): Sleeps<void> {
  const { iomemBefore, machine, mm } = trial;
  const listeners = mm.notifiers?.itree.size ?? 0;
  demand(
    listeners === 0,
    `the driver is gone, and ${listeners} of its notifiers still listen to the process`,
  );
  const iomem = formatIomem(machine.iomem, { privileged: true });
  const left = iomem.split("\n").find((line) => !iomemBefore.includes(line));
  demand(left === undefined, `the driver is gone, and /proc/iomem still has ${left?.trim()}`);
  demand(
    trial.driver.pagemap === undefined || !isMapped(trial),
    "the driver is gone, and its struct pages aren't",
  );
  yield* demandBytes(trial, "after the driver has gone");
}

function isMapped({ driver: { pagemap }, machine: { pagemaps } }: Trial): boolean {
  const span = pagemap?.spans[0];
  if (span === undefined) return false;
  const found = pagemaps.getDevPagemap(span.start);
  pagemaps.putDevPagemap(found);
  return found !== undefined;
}
