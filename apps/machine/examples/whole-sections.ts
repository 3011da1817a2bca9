// A pagemap policy of one's own. See docs/ports/small-parts.md.
import { PROFILES } from "hetmem";
import { alignDown, alignUp, GiB } from "@hetmem/kernel";
import type { CollisionPolicy, PagemapPolicies } from "@hetmem/memremap";

/** Each mapping has a GiB to itself, as where struct pages are allocated by the page of the direct map. */
const gigabyteCollision: CollisionPolicy = {
  unit: "GiB",
  align({ start, size }) {
    const first = alignDown(start, GiB);
    return { start: first, size: alignUp(start + size, GiB) - first };
  },
};

export const pagemaps: PagemapPolicies = { ...PROFILES["v6.1"].pagemaps, collision: gigabyteCollision };
