// Obligations of pageFree(). Kernel counterpart: free_zone_device_page() in mm/memremap.c.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { ROOM } from "../hmm-driver/trial.ts";
import { demand } from "../violation.ts";
import { allocAll, free, obligation } from "./trial.ts";

export const takesPagesBack = obligation({
  name: "takes each page back",
  sentence: "A page whose last user is gone may be handed out again, as often as you like.",
  *try(trial) {
    const { driver } = trial;
    if (driver.alloc === undefined) return;
    for (let i = 0; i < 3 * ROOM; i++) {
      const page = driver.alloc();
      demand(
        page !== undefined,
        `${i} pages were used one after the other, each came back, and none is left`,
      );
      free(trial, page);
    }
  },
});

export const handsOutOnce = obligation({
  name: "hands a page out to one user",
  sentence: "A page that is in use isn't handed out, whatever came back in which order.",
  *try(trial) {
    const { driver } = trial;
    if (driver.alloc === undefined) return;
    const inUse = new Set<Page>(allocAll(trial));
    for (const page of [...inUse].toReversed().slice(1)) {
      free(trial, page);
      inUse.delete(page);
    }
    for (const page of allocAll(trial)) {
      demand(!inUse.has(page), `page ${page} is in use, and is handed out again`);
      inUse.add(page);
    }
  },
});

export const leavesIdlePagesAlone = obligation({
  name: "leaves an idle page as it is",
  sentence:
    "After pageFree() a page has no reference and no lock: it is atomic, and the page may go to another user at once.",
  *try(trial) {
    const { driver, machine } = trial;
    const page = driver.alloc?.();
    if (page === undefined) return;
    free(trial, page);
    const { memmap } = machine.vm;
    const references = memmap.refcount(page) - driver.pagemap.idleCount;
    demand(references === 0, `page ${page} came back, and has ${references} references`);
    demand(!memmap.test(page, PageFlag.locked), `page ${page} came back, and is locked`);
  },
});
