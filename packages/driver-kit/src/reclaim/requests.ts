// Obligations of requests that the allocator has refused. Kernel counterpart: __alloc_pages_slowpath() in mm/page_alloc.c.
import { type NodeId, nodeId, physAddr, type Sleeps } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER_MOVABLE, onlineBlock } from "@hetmem/zone";
import { freePages, SECTION } from "../machine.ts";
import { demand } from "../violation.ts";
import { fillMemory, NODE, obligation, request, spawn, type Trial } from "./trial.ts";

/** Pages of a process that reclaim can write to swap. */
const PAGES = 80;
/** More pages than lie between the watermarks. */
const MANY = 200;
const OTHER: NodeId = nodeId(1);

export const findsAPage = obligation({
  name: "finds a page where one can be freed",
  sentence: "While a page can go to swap, a request that may reclaim gets a page, with one reference.",
  *try(trial) {
    yield* spawn(trial, PAGES);
    fillMemory(trial);
    const page = (yield* request(trial)) ?? NULL_PAGE;
    demand(page !== NULL_PAGE, `${PAGES} pages can go to swap, and a request gets none`);
    const references = trial.vm.memmap.refcount(page);
    demand(references === 1, `page ${page} is handed out with ${references} references`);
  },
});

export const ends = obligation({
  name: "ends without a page",
  sentence: "Where nothing can be freed and nobody killed, a request ends, and gets no page.",
  swapping: false,
  *try(trial) {
    fillMemory(trial);
    const page = yield* request(trial);
    demand(page !== undefined, "nothing can be freed, and a request goes on and on");
  },
});

export const obeysAtomic = obligation({
  name: "reclaims for no request that mustn't wait",
  sentence:
    "Without the bit DIRECT_RECLAIM the caller can't sleep: the request neither yields nor frees pages.",
  *try(trial) {
    yield* spawn(trial, PAGES);
    fillMemory(trial);
    const before = trial.vm.swap.freePages;
    const task = trial.reclaim.allocSlowly(GFP_HIGHUSER_MOVABLE & ~Gfp.DIRECT_RECLAIM, 0, NODE, undefined);
    const { done } = task.next();
    if (!done) task.return(NULL_PAGE as never);
    demand(done === true, "a request that mustn't wait yields");
    const written = before - trial.vm.swap.freePages;
    demand(written === 0, `${written} pages are written to swap for a request that mustn't wait`);
  },
});

export const keepsToNodes = obligation({
  name: "keeps to the allowed nodes",
  sentence: "A request with a nodemask gets a page of one of its nodes, or none.",
  emptyNodes: 1,
  *try(trial) {
    yield* addNode(trial);
    yield* spawn(trial, PAGES);
    fillNode(trial);
    for (let i = 0; i < 4; i++) {
      const page = (yield* request(trial, { nodemask: [NODE] })) ?? NULL_PAGE;
      const node = page === NULL_PAGE ? NODE : trial.vm.memmap.nodeOf(page);
      demand(node === NODE, `a request for node ${NODE} gets a page of node ${node}`);
    }
  },
});

export const saysThatItReclaims = obligation({
  name: "says that it reclaims while it does",
  sentence:
    "isReclaiming is true for a task that frees pages, whose charges are forced, and false for any other.",
  *try(trial) {
    const { asked } = trial.swap;
    yield* spawn(trial, PAGES);
    fillMemory(trial);
    yield* request(trial);
    demand(
      asked.otherwise === 0,
      `${asked.otherwise} pages are reclaimed by a task that says it doesn't reclaim`,
    );
    demand(!trial.reclaim.isReclaiming, "a task that has ended its request says that it reclaims");
  },
});

export const balances = obligation({
  name: "brings memory to the high watermark in the background",
  sentence: "When memory is below its low watermark, runKswapd() frees pages up to the high one.",
  *try(trial) {
    yield* spawn(trial, MANY);
    const taken = fillMemory(trial);
    const free = (): boolean => isAbove(trial, "high");
    if (free()) return;
    yield* trial.reclaim.runKswapd();
    demand(
      free(),
      `${freePages(trial.machine)} pages are free, which is below the high watermark, and ${taken.length} in use`,
    );
  },
});

export const rests = obligation({
  name: "rests above the watermarks",
  sentence: "While memory is above its watermarks, runKswapd() takes no page of a process.",
  *try(trial) {
    yield* spawn(trial, PAGES);
    const before = trial.vm.swap.freePages;
    yield* trial.reclaim.runKswapd();
    const written = before - trial.vm.swap.freePages;
    demand(written === 0, `memory is free, and ${written} pages are written to swap`);
  },
});

function isAbove({ machine: { memory } }: Trial, mark: "low" | "high"): boolean {
  const zones = memory.nodes[NODE]?.zones ?? [];
  return zones.some(
    ({ managedPages, freePages: free, watermark }) => managedPages > 0 && free >= watermark[mark],
  );
}

/** Adds a block of memory to the other node, and takes it online. */
function* addNode({ machine: { hotplug } }: Trial): Sleeps<void> {
  yield* hotplug.locks.lockDeviceHotplug();
  try {
    yield* hotplug.addMemory(OTHER, physAddr(SECTION), SECTION);
    yield* onlineBlock(hotplug, hotplug.block(1), "online_movable");
  } finally {
    hotplug.locks.unlockDeviceHotplug();
  }
}

/** Takes all free pages of node 0. */
function fillNode({ machine: { memory } }: Trial): void {
  // Ends: memory is finite.
  while (memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE | Gfp.THISNODE, 0, NODE) !== NULL_PAGE);
}
