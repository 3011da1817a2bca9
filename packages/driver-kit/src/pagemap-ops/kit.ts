// The obligations of the ops of a pagemap: what memremap, faults and memory failure count on. Kernel counterpart: the callers of
// struct dev_pagemap_ops in mm/memremap.c, mm/memory.c and mm/memory-failure.c.
import type { Kit } from "../conformance.ts";
import { neverReadsBadMemory, retiresBadPages } from "./failure.ts";
import { handsOutOnce, leavesIdlePagesAlone, takesPagesBack } from "./free.ts";
import { answersTwice, keepsContents, movesThePage, survivesAFailure } from "./migrate.ts";
import type { PagemapUnderTest } from "./pagemap.ts";

export const pagemapOpsKit: Kit<PagemapUnderTest> = {
  port: "DevPagemapOps",
  obligations: [
    takesPagesBack,
    handsOutOnce,
    leavesIdlePagesAlone,
    movesThePage,
    keepsContents,
    survivesAFailure,
    answersTwice,
    neverReadsBadMemory,
    retiresBadPages,
  ],
};
