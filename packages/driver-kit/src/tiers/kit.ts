// The obligations of memory tiers: what demotion, NUMA balancing, the drivers of memory and /sys count on. Kernel counterpart:
// include/linux/memory-tiers.h.
import type { Kit } from "../conformance.ts";
import { followsHotplug, hasANodeOnce, hasATop, hasEachNode, hasMemoryOnly, numbersTiers } from "./order.ts";
import {
  allowsSlower,
  answersAlike,
  demotesDown,
  demotesToAllowed,
  knowsAnyNode,
  takesTypesFirst,
} from "./targets.ts";
import type { TiersUnderTest } from "./trial.ts";

export const tiersKit: Kit<TiersUnderTest> = {
  port: "MemoryTiers",
  obligations: [
    hasEachNode,
    hasANodeOnce,
    hasMemoryOnly,
    numbersTiers,
    followsHotplug,
    hasATop,
    demotesDown,
    demotesToAllowed,
    allowsSlower,
    knowsAnyNode,
    takesTypesFirst,
    answersAlike,
  ],
};
