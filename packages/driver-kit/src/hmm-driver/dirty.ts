// The obligation to mark pages that the device writes: the cpu's entries don't record those writes, and reclaim drops a page
// that looks clean. Kernel counterpart: set_page_dirty() in ib_umem_odp_unmap_dma_pages(), drivers/infiniband/core/umem_odp.c.
import { MiB, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { Madv, MapFlag, mmap, Prot } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { swapSpace } from "@hetmem/reclaim";
import type { Obligation } from "../conformance.ts";
import { demand } from "../violation.ts";
import type { DriverUnderTest } from "./driver.ts";
import { at } from "../machine.ts";
import { cpuRead, deviceWrite, migrateBack, migrateTo, must, PAGES, type Trial } from "./trial.ts";
import { nothing, race } from "./obligation.ts";

/** The byte that the device writes. */
const BYTE = 0x77;
/** A page of shared memory, after the private pages of the process. */
const SHARED = PAGES;

export const marksWhatItWrites: Obligation<DriverUnderTest> = race({
  name: "marks what it writes",
  sentence:
    "Reclaim writes what the device has written before it takes the page, though the cpu has only read it, or given it up.",
  scenario(trial) {
    swapSpace(trial.machine.vm).swapon({ path: "/dev/swap", size: MiB });
    return {
      tasks: { process: () => loseNothing(trial) },
      afterStep: nothing,
      afterwards: nothing,
    };
  },
});

/** Three ways to a page whose cpu entry is clean and allows writes. */
function* loseNothing(trial: Trial): Sleeps<void> {
  const { mm, process, seed } = trial;
  if (seed % 3 === 0) {
    const flags = MapFlag.SHARED | MapFlag.ANONYMOUS | MapFlag.FIXED;
    yield* mmap(mm, { address: at(SHARED), length: PAGE_SIZE, prot: Prot.READ | Prot.WRITE, flags });
    yield* cpuRead(process, at(SHARED));
    yield* must("a write of the device", deviceWrite(trial, at(SHARED), BYTE));
    return yield* demandByte(trial, SHARED, "shared memory that the process has only read");
  }
  const page = seed % PAGES;
  yield* madvise(mm, at(page), PAGE_SIZE, Madv.FREE);
  if (seed % 3 === 1) yield* must("a migration to the device", migrateTo(trial, page, 1));
  yield* must("a write of the device", deviceWrite(trial, at(page), BYTE));
  yield* must("a migration back", migrateBack(trial));
  yield* demandByte(trial, page, "memory that the process had given up");
}

/** Two rounds of reclaim: the first only gives swap space to a MADV_FREE page that is dirty. */
function* demandByte({ mm, process }: Trial, page: number, what: string): Sleeps<void> {
  for (let i = 0; i < 2; i++) yield* madvise(mm, at(page), PAGE_SIZE, Madv.PAGEOUT);
  const read = yield* cpuRead(process, at(page));
  demand(
    read === BYTE,
    `the device has written ${BYTE} to ${what}, and after reclaim the process reads ${read}`,
  );
}
