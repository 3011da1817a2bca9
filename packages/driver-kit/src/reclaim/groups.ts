// Obligations about memory cgroups. Kernel counterparts: mem_cgroup_below_min() and try_to_free_mem_cgroup_pages() in
// mm/vmscan.c.
import type { MemoryCgroup } from "@hetmem/memcg";
import { GFP_KERNEL } from "@hetmem/zone";
import { demand } from "../violation.ts";
import { obligation, press, spawn, type Trial } from "./trial.ts";

const PAGES = 100;
/** Pages that memory.min protects: fewer than the cgroup has, and less than what may be on the cpus' stocks. */
const MIN = 60;

export const keepsTheMinimum = obligation({
  name: "keeps what memory.min protects",
  sentence: "While other pages can be freed, a cgroup has at least its memory.min.",
  *try(trial) {
    const [cgroup] = twoCgroups(trial);
    cgroup.memory.setMin(MIN);
    yield* spawn(trial, PAGES, cgroup);
    yield* spawn(trial, 2 * PAGES);
    let least = Number.POSITIVE_INFINITY;
    yield* press(trial, PAGES, () => (least = usage(trial, cgroup)));
    demand(least >= MIN, `a cgroup with a memory.min of ${MIN} pages has ${least}`);
  },
});

export const leavesOtherCgroups = obligation({
  name: "reclaims of the cgroup that it is asked for",
  sentence: "A cgroup at its limit gives pages up, and no other cgroup does.",
  *try(trial) {
    const [cgroup, other] = twoCgroups(trial);
    yield* spawn(trial, PAGES, cgroup);
    yield* spawn(trial, PAGES, other);
    const before = usage(trial, other);
    yield* trial.reclaim.tryToFreeMemCgroupPages(trial.limits.groups.of(cgroup), PAGES / 2, GFP_KERNEL, true);
    const lost = before - usage(trial, other);
    demand(lost === 0, `${lost} pages of another cgroup were taken`);
  },
});

export const reclaimsCgroups = obligation({
  name: "frees pages of a cgroup",
  sentence:
    "While pages of a cgroup can go to swap, its usage falls, by no less than the number that is returned.",
  *try(trial) {
    const [cgroup] = twoCgroups(trial);
    yield* spawn(trial, PAGES, cgroup);
    const before = usage(trial, cgroup);
    const group = trial.limits.groups.of(cgroup);
    const counted = yield* trial.reclaim.tryToFreeMemCgroupPages(group, PAGES / 2, GFP_KERNEL, true);
    const freed = before - usage(trial, cgroup);
    demand(
      freed > 0 && counted <= freed,
      `${freed} pages of a cgroup were freed, and ${counted} are counted`,
    );
  },
});

function twoCgroups({ memcgs }: Trial): readonly [MemoryCgroup, MemoryCgroup] {
  return [memcgs.create(memcgs.root, "one"), memcgs.create(memcgs.root, "two")];
}

/** Pages charged to a cgroup, without those that the cpus keep for later charges. */
function usage({ memcgs }: Trial, cgroup: MemoryCgroup): number {
  memcgs.stocks.drainAll(cgroup);
  return cgroup.memory.usage;
}
