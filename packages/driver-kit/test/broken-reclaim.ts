// Our reclaim with one mistake each. Every one breaks one obligation, and no other.
import { condResched, nodeId, type Page, PAGE_SIZE, type Sleeps, virtAddr } from "@hetmem/kernel";
import { type Process, trylockPage, unlockPage, type Vm, type Vma, VmFlag, zapPageRange } from "@hetmem/mm";
import { pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import { clearPageDirtyForIo } from "@hetmem/mm/file";
import type { PageReclaim } from "@hetmem/mm/ports";
import { NULL_PAGE } from "@hetmem/page";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { Reclaim } from "@hetmem/reclaim";
import { Gfp, GFP_KERNEL } from "@hetmem/zone";
import type { ReclaimUnderTest } from "../src/reclaim/index.ts";

const NONE = NULL_PAGE as Page;

/** A reclaim of a machine with functions of its own in place of some. */
export function reclaimWith(
  name: string,
  change: (good: Reclaim, vm: Vm) => Partial<PageReclaim>,
): ReclaimUnderTest {
  return {
    name,
    create(vm) {
      const good = new Reclaim(vm);
      const all: PageReclaim = {
        allocSlowly: (...request) => good.allocSlowly(...request),
        pagefaultOutOfMemory: (process) => good.pagefaultOutOfMemory(process),
        reclaimPages: (pages) => good.reclaimPages(pages),
        tryToFreeMemCgroupPages: (...request) => good.tryToFreeMemCgroupPages(...request),
        outOfMemory: (control) => good.outOfMemory(control),
        get isReclaiming() {
          return good.isReclaiming;
        },
        runKswapd: () => good.runKswapd(),
      };
      return Object.defineProperties(all, Object.getOwnPropertyDescriptors(change(good, vm)));
    },
  };
}

/** Does something before each request that may reclaim. */
function before(name: string, act: (vm: Vm, good: Reclaim) => Sleeps<void>): ReclaimUnderTest {
  return reclaimWith(name, (good, vm) => ({
    *allocSlowly(gfp, ...request) {
      if ((gfp & Gfp.DIRECT_RECLAIM) !== 0) yield* act(vm, good);
      return yield* good.allocSlowly(gfp, ...request);
    },
  }));
}

/** Makes requests with other Gfp bits. */
function withBits(name: string, bits: (gfp: number, vm: Vm) => number): ReclaimUnderTest {
  return reclaimWith(name, (good, vm) => ({
    allocSlowly: (gfp, ...request) => good.allocSlowly(bits(gfp, vm), ...request),
  }));
}

/** Unmaps the first page of a kind, whose contents are lost. */
function* dropPages(vm: Vm, isVictim: (vma: Vma, page: Page) => boolean): Sleeps<void> {
  for (const { mm } of vm.processes)
    for (const vma of mm?.vmas ?? [])
      for (let address = vma.start; address < vma.end; address = virtAddr(address + PAGE_SIZE)) {
        const entry = vma.mm.pageTable.find(address);
        if (entry === NO_ENTRY || (vma.mm.pageTable.flags(entry) & Pte.present) === 0) continue;
        if (isVictim(vma, vma.mm.pageTable.value(entry) as Page))
          return yield* zapPageRange(vma, address, virtAddr(address + PAGE_SIZE));
      }
}

const isLocked = ({ flags }: Vma): boolean => (flags & VmFlag.LOCKED) !== 0;

/** Forgets that pages of files were written to. */
function* forgetWrites(vm: Vm): Sleeps<void> {
  for (const mapping of vm.mappings)
    for (let index = 0; mapping.canWriteback && index < 6; index++) {
      const page = mapping.pages.load(index);
      if (page <= 0 || !trylockPage(vm.memmap, page as Page)) continue;
      yield* clearPageDirtyForIo(vm, page as Page);
      unlockPage(vm.memmap, page as Page);
    }
}

/** Reclaims of the cgroups below the root, each as if it were at its limit. */
function* reclaimOfEach(vm: Vm, good: Reclaim, skipped?: object): Sleeps<void> {
  for (const group of [...(vm.charging.groups?.hierarchy(undefined) ?? [])].slice(1))
    if (group !== skipped) yield* good.tryToFreeMemCgroupPages(group, 96, GFP_KERNEL, true);
}

function killLargest(vm: Vm): void {
  const living = [...vm.processes].filter(({ mm, killed }) => mm !== undefined && !killed);
  const [largest] = living.sort((a, b) => (b.mm?.rssPages ?? 0) - (a.mm?.rssPages ?? 0));
  largest?.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: virtAddr(0), reason: "memory is full" });
}

const isKillable = ({ oomScoreAdj }: Process): boolean => oomScoreAdj !== -1000;

export const BROKEN: readonly (readonly [obligation: string, reclaim: ReclaimUnderTest])[] = [
  [
    "finds a page where one can be freed",
    reclaimWith("gives up while swap is free", (good, vm) => ({
      *allocSlowly(...request) {
        const page = yield* good.allocSlowly(...request);
        if (page === NULL_PAGE || vm.swap.totalPages === 0) return page;
        vm.memmap.putPage(page);
        return NONE;
      },
    })),
  ],
  [
    "ends without a page",
    reclaimWith("tries on and on", (good, vm) => ({
      *allocSlowly(...request) {
        for (;;) {
          const page = yield* good.allocSlowly(...request);
          if (page !== NULL_PAGE || [...vm.processes].length > 0) return page;
          yield condResched;
        }
      },
    })),
  ],
  [
    "reclaims for no request that mustn't wait",
    withBits("always reclaims", (gfp) => gfp | Gfp.DIRECT_RECLAIM),
  ],
  [
    "keeps to the allowed nodes",
    reclaimWith("takes any node", (good, vm) => ({
      allocSlowly: (gfp, order, near, mm, nodemask) =>
        nodemask === undefined || vm.memory.nodes.length === 1
          ? good.allocSlowly(gfp, order, near, mm, nodemask)
          : good.allocSlowly(gfp, order, nodeId(1), mm, [nodeId(1)]),
    })),
  ],
  ["says that it reclaims while it does", reclaimWith("never says so", () => ({ isReclaiming: false }))],
  [
    "brings memory to the high watermark in the background",
    reclaimWith("has no kswapd", () => ({ *runKswapd() {} })),
  ],
  [
    "rests above the watermarks",
    reclaimWith("has a kswapd without rest", (good, vm) => ({
      *runKswapd() {
        yield* good.runKswapd();
        const [root] = vm.charging.groups?.hierarchy(undefined) ?? [];
        if (root !== undefined) yield* good.tryToFreeMemCgroupPages(root, 32, GFP_KERNEL, true);
      },
    })),
  ],
  [
    "keeps what processes have written",
    before("drops pages that it should write", (vm) =>
      dropPages(vm, (vma, page) => !isLocked(vma) && !pageMaybeDmaPinned(vm, page)),
    ),
  ],
  [
    "writes files back before it drops their pages",
    before("takes files for clean", (vm) => forgetWrites(vm)),
  ],
  ["leaves mlocked pages", before("takes locked pages", (vm) => dropPages(vm, isLocked))],
  [
    "leaves pinned pages",
    before("takes pinned pages", (vm) => dropPages(vm, (_, page) => pageMaybeDmaPinned(vm, page))),
  ],
  [
    "gives isolated pages back",
    reclaimWith("forgets a page", (good) => ({ reclaimPages: (pages) => good.reclaimPages(pages.slice(1)) })),
  ],
  [
    "counts the pages that it frees",
    reclaimWith("counts what it was given", (good) => ({
      *reclaimPages(pages) {
        yield* good.reclaimPages(pages);
        return pages.length;
      },
    })),
  ],
  ["kills when nothing else is left", withBits("never kills", (gfp) => gfp | Gfp.RETRY_MAYFAIL)],
  [
    "kills the process that the choice names",
    reclaimWith("kills the largest", (good, vm) => ({
      *allocSlowly(gfp, ...request) {
        const page = yield* good.allocSlowly(gfp | Gfp.RETRY_MAYFAIL, ...request);
        const mayKill = (gfp & (Gfp.RETRY_MAYFAIL | Gfp.NORETRY)) === 0 && [...vm.processes].some(isKillable);
        if (page === NULL_PAGE && mayKill) killLargest(vm);
        return page;
      },
    })),
  ],
  [
    "kills for no request that may fail",
    withBits("always kills", (gfp) => gfp & ~(Gfp.RETRY_MAYFAIL | Gfp.NORETRY)),
  ],
  [
    "ends the faults of a process that gets no memory",
    reclaimWith("lets faults fail", () => ({ *pagefaultOutOfMemory() {} })),
  ],
  ["keeps what memory.min protects", before("knows no memory.min", (vm, good) => reclaimOfEach(vm, good))],
  [
    "reclaims of the cgroup that it is asked for",
    reclaimWith("reclaims of all cgroups", (good, vm) => ({
      *tryToFreeMemCgroupPages(target, ...request) {
        const freed = yield* good.tryToFreeMemCgroupPages(target, ...request);
        yield* reclaimOfEach(vm, good, target);
        return freed;
      },
    })),
  ],
  [
    "frees pages of a cgroup",
    reclaimWith("leaves cgroups alone", () => ({
      *tryToFreeMemCgroupPages() {
        return 0;
      },
    })),
  ],
];
